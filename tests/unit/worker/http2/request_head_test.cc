// Header lists of HTTP/2 as requests: what HTTP/1 would not let in is not let in either.
#include "worker/http2/request_head.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace beamgate::http2 {
namespace {

using List = std::vector<std::pair<std::string, std::string>>;

class RequestHeadTest : public testing::Test {
 protected:
  http::Verdict read(const List& list, bool has_body = false) {
    RequestHead head(limits_);
    for (const auto& [name, value] : list) head.add(name, value);
    return head.read(has_body, "c2l4dGVlbiBieXRlcyE5OQ==", text_, request_);
  }
  uint16_t status(List more, List base = {}) {
    if (base.empty()) base = base_;
    base.insert(base.end(), more.begin(), more.end());
    return read(base).status;
  }
  List with(const std::string& name, const std::string& value) {
    List list = base_;
    for (auto& [key, old] : list) {
      if (key == name) old = value;
    }
    return list;
  }

  const List base_ = {{":method", "GET"}, {":scheme", "https"}, {":authority", "Example.com:8443"}, {":path", "/a/../b?c=d"}};
  http::HeadLimits limits_;
  std::string text_;
  http::Request request_;
};

TEST_F(RequestHeadTest, MeansWhatItsHttp1FormMeans) {
  List list = base_;
  list.insert(list.end(), {{"cookie", "a=1"}, {"x-one", "1"}, {"cookie", "b=2"}, {"te", "trailers"}});
  ASSERT_EQ(read(list).status, 0);
  EXPECT_TRUE(request_.http2);
  EXPECT_EQ(request_.method, "GET");
  EXPECT_EQ(request_.target, "/a/../b?c=d");
  EXPECT_EQ(request_.path, "/b");
  EXPECT_EQ(request_.query, "c=d");
  EXPECT_EQ(request_.host, "example.com");
  EXPECT_EQ(request_.field("host"), "Example.com:8443");
  EXPECT_EQ(request_.field("cookie"), "a=1; b=2") << "its crumbs are one field again";
  EXPECT_EQ(request_.field("x-one"), "1");
  EXPECT_FALSE(request_.has_body());
}

TEST_F(RequestHeadTest, BodiesAreKnownByTheStreamsEnd) {
  ASSERT_EQ(read(base_, true).status, 0);
  EXPECT_TRUE(request_.chunked);
  List list = base_;
  list.emplace_back("content-length", "7");
  ASSERT_EQ(read(list, true).status, 0);
  EXPECT_FALSE(request_.chunked);
  EXPECT_EQ(request_.content_length, 7u);
  list.emplace_back("content-length", "7");
  EXPECT_EQ(read(list, true).status, 400);
}

TEST_F(RequestHeadTest, WhereNothingIsToBeSmuggled) {
  for (const char* value : {"x\r\nX-More: 1", "x\ny", "x\ry", "\x7f"}) {
    EXPECT_EQ(status({{"x-one", value}}), 400) << value;
  }
  EXPECT_EQ(status({{"x-one", std::string("x\0y", 3)}}), 400);
  EXPECT_EQ(status({{"x-one", "x y\t\xff"}}), 0) << "and these are allowed";
  for (const char* name : {"x one", "x:one", "", "x\r\ny", "transfer-encoding", "connection", "upgrade", "keep-alive",
                           "proxy-connection"}) {
    EXPECT_EQ(status({{name, "chunked"}}), 400) << name;
  }
  EXPECT_EQ(status({{"te", "gzip"}}), 400);
  for (const char* path : {"/a b", "/a\r\nHost: x", "http://other/", "a", "", "*", "/a\tb", "/%zz", "/../.."}) {
    EXPECT_EQ(status({}, with(":path", path)), 400) << path;
  }
  for (const char* method : {"GE T", "GET\r\n", "", "G:T"}) EXPECT_EQ(status({}, with(":method", method)), 400) << method;
  for (const char* authority : {"user@host", "a b", "a/b", "a:b", "a\r\nx: y", "a:1:2"}) {
    EXPECT_EQ(status({}, with(":authority", authority)), 400) << authority;
  }
  EXPECT_EQ(status({}, with(":scheme", "ftp")), 400);
}

TEST_F(RequestHeadTest, HostMustAgree) {
  EXPECT_EQ(status({{"host", "example.com:8443"}}), 0) << "in whatever case";
  EXPECT_EQ(status({{"host", "other.com"}}), 400);
  EXPECT_EQ(status({{"host", "Example.com:8443"}, {"host", "Example.com:8443"}}), 400);
  const List without = {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}};
  EXPECT_EQ(status({}, without), 400);
  EXPECT_EQ(status({{"host", "only.host"}}, without), 0);
  EXPECT_EQ(request_.host, "only.host");
}

TEST_F(RequestHeadTest, ConnectMakesNoTunnel) {
  EXPECT_EQ(read({{":method", "CONNECT"}, {":authority", "example.com:443"}}).status, 501);
  EXPECT_EQ(status({}, with(":method", "BREW")), 0);
  EXPECT_EQ(status({}, with(":method", "brew")), 501) << "as in HTTP/1";
  EXPECT_EQ(read({{":method", "OPTIONS"}, {":scheme", "http"}, {":authority", "a"}, {":path", "*"}}).status, 0);
}

TEST_F(RequestHeadTest, AWebSocketIsTheGetThatItStandsFor) {
  List list = with(":method", "CONNECT");
  list.insert(list.begin() + 1, {":protocol", "websocket"});
  list.emplace_back("sec-websocket-version", "13");
  list.emplace_back("sec-websocket-key", "of no use");
  ASSERT_EQ(read(list, true).status, 0);
  EXPECT_EQ(request_.method, "GET");
  EXPECT_TRUE(request_.upgrade_websocket);
  EXPECT_FALSE(request_.has_body());
  EXPECT_EQ(request_.field("sec-websocket-key"), "c2l4dGVlbiBieXRlcyE5OQ==");
  list[1].second = "connect-udp";
  EXPECT_EQ(read(list, true).status, 501);
}

TEST_F(RequestHeadTest, Limits) {
  limits_ = {.request_line_bytes_max = 100, .field_line_bytes_max = 100, .head_bytes_max = 400, .fields_max = 10};
  EXPECT_EQ(status({}, with(":path", "/" + std::string(87, 'a'))), 414);
  EXPECT_EQ(status({}, with(":path", "/" + std::string(86, 'a'))), 0);
  EXPECT_EQ(status({{"cookie", std::string(60, 'a')}, {"cookie", std::string(40, 'b')}}), 431);
  EXPECT_EQ(status({{"cookie", std::string(50, 'a')}, {"cookie", std::string(40, 'b')}}), 0);
  EXPECT_EQ(status({{"x-one", std::string(94, 'a')}}), 431);
  EXPECT_EQ(status({{"x-one", std::string(93, 'a')}}), 0);
  List many;
  for (int i = 0; i < 10; ++i) many.emplace_back("x", "y");
  EXPECT_EQ(status(many), 0);
  for (int i = 0; i < 10; ++i) many.emplace_back("x", "y");
  EXPECT_EQ(status(many), 431);
  List long_ones;
  for (int i = 0; i < 5; ++i) long_ones.emplace_back("x", std::string(90, 'a'));
  EXPECT_EQ(status(long_ones), 431);
}

}  // namespace
}  // namespace beamgate::http2
