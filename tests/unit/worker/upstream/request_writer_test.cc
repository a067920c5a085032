// The request writer: what an application gets to see of a client's request.  Whatever a client sends, it
// can't pose as the gateway, as a trusted proxy, or change where the request ends.
#include "worker/upstream/request_writer.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/upstream/parse_template.h"
#include "worker/upstream/proxy_target.h"

namespace beamgate::upstream {
namespace {

// A request for GET /a?b from 192.0.2.7, at a location "/" that is proxied to "app".
struct ProxiedRequest {
  ProxiedRequest() {
    auto upstream = std::make_shared<config::Upstream>();
    upstream->name = "app";
    location.proxy.upstream = upstream;
    location.proxy.host = "app";
    location.pattern = "/";
    location.action = config::Action::Proxy;
    request.method = "GET";
    request.target = "/a?b";
    request.path = "/a";
    request.query = "b";
    request.remote_address = "192.0.2.7";
    request.location = &location;
    request.fields = {{"Host", "site.example"}};
    record.peer_family = AF_INET;
    inet_pton(AF_INET, "192.0.2.7", record.peer_address);
  }

  std::string write() {
    std::string out;
    const auto written = RequestWriter().write(request, record, location.proxy, held_bytes, out);
    keep = written.ok() && written.value().keep;
    upgrade = written.ok() && written.value().upgrade;
    return written.ok() ? out : "refused";
  }

  std::string target() {
    std::string out;
    append_target(request, location.proxy, out);
    return out;
  }

  void set_header(const std::string& name, const std::string& value) {
    location.proxy.set_headers.push_back({name, parse_template(value)});
  }

  config::Location location;
  http::Request request;
  record::Record record;
  std::optional<uint64_t> held_bytes;
  bool keep = false;
  bool upgrade = false;
};

bool has_line(const std::string& head, const std::string& line) {
  return head.find("\r\n" + line + "\r\n") != std::string::npos;
}

TEST(RequestWriter, SaysWhoAskedAndHow) {
  ProxiedRequest one;
  EXPECT_EQ(one.write(),
            "GET /a?b HTTP/1.1\r\nHost: app\r\nX-Real-IP: 192.0.2.7\r\nX-Forwarded-For: 192.0.2.7\r\n"
            "X-Forwarded-Proto: http\r\nX-Forwarded-Host: site.example\r\n\r\n");
  EXPECT_TRUE(one.keep);
}

TEST(RequestWriter, OrdinaryFieldsPassAsTheyAre) {
  ProxiedRequest one;
  one.request.fields = {{"Host", "site.example"}, {"Accept", "*/*"},       {"Cookie", "a=b; c=\xc3\xa4"},
                        {"X-Custom", "1"},        {"X-Custom", "2"},       {"Authorization", "Basic x"},
                        {"Cel-Phone", "1"},       {"Beamgates", "1"},      {"X-Forward", "1"},
                        {"Webhooks-Id", "1"},     {"Accept-Encoding", ""}};
  const std::string head = one.write();
  for (const http::Field& field : one.request.fields) {
    if (field.name == "Host") continue;
    EXPECT_TRUE(has_line(head, std::string(field.name) + ": " + std::string(field.value))) << field.name;
  }
}

TEST(RequestWriter, WhatOnlyTheGatewayMaySayIsDropped) {
  const char* const kNames[] = {
      "X-Forwarded-For",  "x-forwarded-proto", "X-Forwarded-Host", "X-Forwarded-User", "X-Forwarded-",
      "Forwarded",        "X-Real-IP",         "beamgate-user",    "Beamgate-State",   "BEAMGATE-CHANNEL",
      "ce-type",          "Ce-Id",             "webhook-id",       "Webhook-Signature", "X_Forwarded_For",
      "beamgate_user",    "X-Forwarded_For",   "ce_type",          "webhook_id",       "any_thing",
      "Proxy",            "Expect",            "Connection",       "Keep-Alive",       "Proxy-Connection",
      "TE",               "Trailer",           "Upgrade",          "HTTP2-Settings",   "Transfer-Encoding"};
  for (const char* name : kNames) {
    ProxiedRequest one;
    one.request.fields.push_back({name, "evil"});
    EXPECT_EQ(one.write().find("evil"), std::string::npos) << name;
  }
}

TEST(RequestWriter, UnderscoresPassOnlyWhereTheyPoseAsNothing) {
  config::Server server;
  ProxiedRequest one;
  one.request.server = &server;
  one.request.fields.push_back({"X_Mine", "good"});
  EXPECT_EQ(one.write().find("good"), std::string::npos);
  server.underscores_in_headers = true;
  for (const char* name : {"X_Forwarded_For", "X-Real_IP", "beamgate_user", "ce_type", "Transfer_Encoding", "Content_Length"}) {
    one.request.fields.push_back({name, "evil"});
  }
  EXPECT_TRUE(has_line(one.write(), "X_Mine: good"));
  EXPECT_EQ(one.write().find("evil"), std::string::npos);
}

TEST(RequestWriter, AnAnnouncedConnectionIsNotKept) {
  ProxiedRequest one;
  one.request.remote_port = 4711;
  one.request.announced.destination = {.family = AF_INET, .port = 443, .address = {192, 0, 2, 1}};
  one.location.proxy.proxy_protocol = 1;
  EXPECT_TRUE(one.write().starts_with("PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\nGET /a?b HTTP/1.1\r\n"));
  EXPECT_TRUE(has_line(one.write(), "Connection: close"));
  EXPECT_FALSE(one.keep);
}

TEST(RequestWriter, ATrustedPeersChainIsContinued) {
  ProxiedRequest one;
  one.request.trusted_peer = true;
  one.request.remote_address = "203.0.113.9";
  one.request.fields = {{"Host", "site.example"},
                        {"X-Forwarded-For", "203.0.113.9"},
                        {"X-Forwarded-For", "198.51.100.1"},
                        {"X-Forwarded-Proto", "https"},
                        {"X-Forwarded-Host", "public.example"},
                        {"X-Forwarded-Port", "443"},
                        {"X-Real-IP", "1.1.1.1"},
                        {"Forwarded", "for=evil"},
                        {"beamgate-user", "evil"},
                        {"X_Forwarded_For", "evil"}};
  const std::string head = one.write();
  EXPECT_TRUE(has_line(head, "X-Forwarded-For: 203.0.113.9, 198.51.100.1, 192.0.2.7")) << head;
  EXPECT_TRUE(has_line(head, "X-Forwarded-Proto: https"));
  EXPECT_TRUE(has_line(head, "X-Forwarded-Host: public.example"));
  EXPECT_TRUE(has_line(head, "X-Forwarded-Port: 443"));
  EXPECT_TRUE(has_line(head, "X-Real-IP: 203.0.113.9"));
  EXPECT_EQ(head.find("evil"), std::string::npos);
}

TEST(RequestWriter, FieldsNamedByConnectionStayBehind) {
  ProxiedRequest one;
  one.request.fields = {{"Host", "x"}, {"Connection", "close, X-Hop ,"}, {"Connection", "cookie"},
                        {"X-Hop", "evil"}, {"Cookie", "evil"}, {"X-Stay", "good"}};
  const std::string head = one.write();
  EXPECT_EQ(head.find("evil"), std::string::npos);
  EXPECT_TRUE(has_line(head, "X-Stay: good"));
  // Our own can't be named away.
  one.request.fields = {{"Host", "x"}, {"Connection", "host, x-real-ip, x-forwarded-for, content-length"}};
  one.request.content_length = 3;
  const std::string ours = one.write();
  EXPECT_TRUE(has_line(ours, "Host: app") && has_line(ours, "X-Real-IP: 192.0.2.7"));
  EXPECT_TRUE(has_line(ours, "X-Forwarded-For: 192.0.2.7") && has_line(ours, "Content-Length: 3"));
}

TEST(RequestWriter, TooManyConnectionNamesAreRefused) {
  ProxiedRequest one;
  std::string names = "n";
  for (int i = 1; i < 32; ++i) names += ",n";
  one.request.fields = {{"Connection", names}};
  EXPECT_NE(one.write(), "refused");
  names += ",n";
  one.request.fields = {{"Connection", names}};
  EXPECT_EQ(one.write(), "refused");
}

TEST(RequestWriter, FramingIsOurs) {
  ProxiedRequest one;
  one.request.method = "POST";
  one.request.fields.push_back({"Content-Length", "007"});
  one.request.content_length = 7;
  EXPECT_TRUE(has_line(one.write(), "Content-Length: 7"));
  EXPECT_EQ(one.write().find("007"), std::string::npos);
  one.request.content_length = 0;
  EXPECT_TRUE(has_line(one.write(), "Content-Length: 0"));
  one.request.content_length.reset();
  one.request.chunked = true;
  EXPECT_TRUE(has_line(one.write(), "Transfer-Encoding: chunked"));
  EXPECT_EQ(one.write().find("Content-Length"), std::string::npos);
  one.set_header("Content-Length", "99");
  one.set_header("Transfer-Encoding", "gzip");
  EXPECT_EQ(one.write().find("99"), std::string::npos);
  EXPECT_EQ(one.write().find("gzip"), std::string::npos);
}

TEST(RequestWriter, SetHeaderOverridesAndRemoves) {
  ProxiedRequest one;
  one.request.fields.push_back({"Accept-Encoding", "gzip"});
  one.request.fields.push_back({"X-Tag", "theirs"});
  one.set_header("host", "$host:$request_method");
  one.set_header("Accept-Encoding", "");
  one.set_header("X-Tag", "ours $remote_addr");
  one.set_header("X-Forwarded-For", "$remote_addr!");
  one.set_header("X-Real-IP", "");
  one.request.host = "site.example";
  const std::string head = one.write();
  EXPECT_TRUE(has_line(head, "Host: site.example:GET")) << head;
  EXPECT_EQ(head.find("Accept-Encoding"), std::string::npos);
  EXPECT_TRUE(has_line(head, "X-Tag: ours 192.0.2.7"));
  EXPECT_EQ(head.find("theirs"), std::string::npos);
  EXPECT_TRUE(has_line(head, "X-Forwarded-For: 192.0.2.7!"));
  EXPECT_EQ(head.find("X-Real-IP"), std::string::npos);
}

TEST(RequestWriter, AHostThatExpandsToNothingIsTheBackends) {
  ProxiedRequest one;
  one.request.fields.clear();
  one.set_header("Host", "$http_host");
  EXPECT_TRUE(has_line(one.write(), "Host: app"));
}

TEST(RequestWriter, AVariableCantEndItsLine) {
  ProxiedRequest one;
  one.request.path = "/a\r\nX-Evil: 1\n\x01\x7f";
  one.set_header("X-Path", "$uri");
  EXPECT_TRUE(has_line(one.write(), "X-Path: /a%0D%0AX-Evil: 1%0A%01%7F")) << one.write();
}

TEST(RequestWriter, ConnectionClosesWhenAskedOrWithoutKeepalive) {
  ProxiedRequest one;
  one.set_header("Connection", "close");
  EXPECT_TRUE(has_line(one.write(), "Connection: close"));
  EXPECT_FALSE(one.keep);
  ProxiedRequest two;
  two.set_header("Connection", "");
  EXPECT_EQ(two.write().find("Connection"), std::string::npos);
  EXPECT_TRUE(two.keep);
  auto upstream = std::make_shared<config::Upstream>();
  upstream->keepalive = 0;
  two.location.proxy.upstream = upstream;
  EXPECT_TRUE(has_line(two.write(), "Connection: close"));
  EXPECT_FALSE(two.keep);
}

struct TargetRow {
  const char* pattern;
  const char* uri;  // Null: proxy_pass without a URI.
  const char* target;
  const char* path;
  const char* query;
  const char* expected;
};

ProxiedRequest websocket() {
  ProxiedRequest one;
  one.request.upgrade_websocket = true;
  one.request.fields = {{"Host", "site.example"},
                        {"Connection", "keep-alive, Upgrade"},
                        {"Upgrade", "websocket"},
                        {"Sec-WebSocket-Key", "k"}};
  return one;
}

TEST(RequestWriter, AWebSocketIsPassedOnAsSuch) {
  ProxiedRequest one = websocket();
  const std::string head = one.write();
  EXPECT_TRUE(one.upgrade);
  EXPECT_TRUE(has_line(head, "Upgrade: websocket")) << head;
  EXPECT_TRUE(has_line(head, "Connection: Upgrade")) << head;
  EXPECT_TRUE(has_line(head, "Sec-WebSocket-Key: k")) << head;
  ProxiedRequest asked = websocket();  // nginx's way to say it.
  asked.set_header("Upgrade", "$http_upgrade");
  asked.set_header("Connection", "upgrade");
  EXPECT_TRUE(has_line(asked.write(), "Connection: Upgrade"));
  EXPECT_TRUE(asked.upgrade);
}

TEST(RequestWriter, WhatIsNoWebSocketIsNotUpgraded) {
  ProxiedRequest closed = websocket();
  closed.set_header("Connection", "");
  EXPECT_EQ(closed.write().find("pgrade"), std::string::npos);
  ProxiedRequest removed = websocket();
  removed.set_header("Upgrade", "");
  EXPECT_EQ(removed.write().find("pgrade"), std::string::npos);
  ProxiedRequest other = websocket();
  other.set_header("Upgrade", "h2c");
  EXPECT_EQ(other.write().find("pgrade"), std::string::npos);
  ProxiedRequest post = websocket();
  post.request.method = "POST";
  EXPECT_EQ(post.write().find("pgrade"), std::string::npos);
  ProxiedRequest with_body = websocket();
  with_body.request.content_length = 5;
  EXPECT_EQ(with_body.write().find("pgrade"), std::string::npos);
  ProxiedRequest old = websocket();
  old.location.proxy.http_minor = 0;
  EXPECT_EQ(old.write().find("pgrade"), std::string::npos);
  ProxiedRequest plain;  // Asked for by the configuration alone.
  plain.set_header("Upgrade", "websocket");
  plain.set_header("Connection", "upgrade");
  EXPECT_EQ(plain.write().find("pgrade"), std::string::npos);
  EXPECT_FALSE(plain.upgrade);
}

TEST(RequestWriter, TheOldProtocolHasNoChunksAndKeepsNothing) {
  ProxiedRequest one;
  one.location.proxy.http_minor = 0;
  one.request.chunked = true;
  one.held_bytes = 12;
  const std::string head = one.write();
  EXPECT_TRUE(head.starts_with("GET /a?b HTTP/1.0\r\n")) << head;
  EXPECT_TRUE(has_line(head, "Content-Length: 12")) << head;
  EXPECT_TRUE(has_line(head, "Connection: close")) << head;
  EXPECT_EQ(head.find("Transfer-Encoding"), std::string::npos);
  EXPECT_FALSE(one.keep);
}

TEST(RequestWriter, TrailersAreAskedForWhereTheyArePassedOn) {
  ProxiedRequest one;
  EXPECT_EQ(one.write().find("TE:"), std::string::npos);
  one.location.proxy.pass_trailers = true;
  EXPECT_TRUE(has_line(one.write(), "TE: trailers"));
  EXPECT_TRUE(has_line(one.write(), "Connection: TE"));
  one.set_header("Connection", "close");
  EXPECT_TRUE(has_line(one.write(), "Connection: close, TE"));
}

TEST(ProxyTarget, FollowsNginx) {
  const TargetRow kRows[] = {
      {"/", nullptr, "/a%2Fb/../c?d=e", "/c", "d=e", "/a%2Fb/../c?d=e"},
      {"/x/", nullptr, "/x/y", "/x/y", "", "/x/y"},
      {"/", nullptr, "http://h.example/p?q", "/p", "q", "/p?q"},
      {"/", nullptr, "http://h.example", "/", "", "/"},
      {"/", nullptr, "http://h.example?q", "/", "q", "/?q"},
      {"/", nullptr, "/a#frag", "/a", "", "/a"},
      {"/", nullptr, "/\xc3\xa4 b", "/\xc3\xa4 b", "", "/%C3%A4%20b"},
      {"/x/", "/", "/x/y?z", "/x/y", "z", "/y?z"},
      {"/x/", "/base/", "/x/y", "/x/y", "", "/base/y"},
      {"/x", "/base", "/x/y", "/x/y", "", "/base/y"},
      {"/x/", "/base", "/x/y", "/x/y", "", "/basey"},
      {"/x/", "/b/", "/x/a%20b%3Fc%23d%25", "/x/a b?c#d%", "", "/b/a%20b%3Fc%23d%25"},
      {"/x/", "/b/", "/x/%0d%0aX", "/x/\r\nX", "", "/b/%0D%0AX"},
      {"/x/", "/b?k=v", "/x/", "/x/", "", "/b?k=v"},
      {"/x/", "/b/", "/x/y?a b", "/x/y", "a b", "/b/y?a%20b"},
  };
  for (const TargetRow& row : kRows) {
    ProxiedRequest one;
    one.location.pattern = row.pattern;
    one.location.proxy.has_uri = row.uri != nullptr;
    one.location.proxy.uri = row.uri == nullptr ? "" : row.uri;
    one.request.target = row.target;
    one.request.path = row.path;
    one.request.query = row.query;
    EXPECT_EQ(one.target(), row.expected) << row.pattern << " " << row.target;
  }
}

TEST(ProxyTarget, ARegexLocationPassesTheTargetOn) {
  ProxiedRequest one;
  one.location.match = config::LocationMatch::Regex;
  one.location.pattern = "^/a";
  EXPECT_EQ(one.target(), "/a?b");
}

TEST(ProxyTarget, RedirectsToTheBackendPointBackHere) {
  ProxiedRequest one;
  std::string value = "http://app/next?x";
  rewrite_location(one.location, value);
  EXPECT_EQ(value, "/next?x");
  one.location.pattern = "/one/";
  one.location.proxy.has_uri = true;
  one.location.proxy.uri = "/two/";
  value = "http://app/two/some";
  rewrite_location(one.location, value);
  EXPECT_EQ(value, "/one/some");
  for (const char* other : {"/two/some", "https://app/two/some", "http://application/two/", "http://app/three"}) {
    value = other;
    rewrite_location(one.location, value);
    EXPECT_EQ(value, other);
  }
}

}  // namespace
}  // namespace beamgate::upstream
