// What a script gets to see of a request, and what a client gets to see of a script's fields.
#include "worker/upstream/fastcgi_protocol.h"

#include <gtest/gtest.h>

#include "tests/unit/worker/upstream/parse_template.h"
#include "worker/fastcgi/record.h"

namespace beamgate::upstream {
namespace {

struct FastCgiRequest {
  FastCgiRequest() {
    location.fastcgi.upstream = std::make_shared<config::Upstream>();
    request.method = "GET";
    request.target = "/a.php?b";
    request.path = "/a.php";
    request.query = "b";
    request.location = &location;
    request.server = &server;
    request.fields = {{"Host", "site.example"}};
  }

  void param(const std::string& name, const std::string& value, bool if_not_empty = false) {
    location.fastcgi.params.push_back({name, parse_template(value), if_not_empty});
  }

  // "NAME=value;" in their order, and how many records of STDIN there are.
  std::string params(std::optional<uint64_t> held_bytes = {}) {
    std::string out;
    const auto written = protocol.write_head(request, record, held_bytes, out);
    EXPECT_TRUE(written.ok());
    keep = written.value().keep;
    std::string pairs;
    stdin_records = 0;
    for (std::string_view rest = out; !rest.empty();) {
      const fastcgi::RecordHeader header = fastcgi::read_header(rest);
      const std::string_view content = rest.substr(fastcgi::kHeaderBytes, header.content_bytes);
      if (header.type == static_cast<uint8_t>(fastcgi::RecordType::BeginRequest)) flags = content[2];
      if (header.type == static_cast<uint8_t>(fastcgi::RecordType::Params)) pairs += content;
      if (header.type == static_cast<uint8_t>(fastcgi::RecordType::Stdin)) ++stdin_records;
      rest.remove_prefix(fastcgi::kHeaderBytes + header.content_bytes);
    }
    std::string text;
    for (size_t at = 0; at < pairs.size();) {
      const size_t name = static_cast<unsigned char>(pairs[at]);
      const size_t value = static_cast<unsigned char>(pairs[at + 1]);
      text += pairs.substr(at + 2, name) + "=" + pairs.substr(at + 2 + name, value) + ";";
      at += 2 + name + value;
    }
    return text;
  }

  std::string fitted(std::vector<http::ResponseField> fields) {
    protocol.fit_fields(request, record, fields);
    std::string out;
    for (const http::ResponseField& field : fields) out += field.name + ";";
    return out;
  }

  FastcgiProtocol protocol;
  config::Server server;
  config::Location location;
  http::Request request;
  record::Record record;
  bool keep = false;
  char flags = 0;
  int stdin_records = 0;
};

TEST(FastcgiProtocol, ParamsInTheirOrderThenFields) {
  FastCgiRequest c;
  c.param("QUERY_STRING", "$query_string");
  c.param("HTTPS", "$https", true);
  c.param("EMPTY", "");
  c.request.fields.push_back({"User-Agent", "x"});
  EXPECT_EQ(c.params(), "QUERY_STRING=b;EMPTY=;HTTP_HOST=site.example;HTTP_USER_AGENT=x;");
  EXPECT_EQ(c.stdin_records, 1);
  c.location.fastcgi.pass_request_headers = false;
  EXPECT_EQ(c.params(), "QUERY_STRING=b;EMPTY=;");
}

TEST(FastcgiProtocol, AConfiguredNameTakesTheFieldsPlace) {
  FastCgiRequest c;
  c.param("HTTP_HOST", "other");
  EXPECT_EQ(c.params(), "HTTP_HOST=other;");
}

TEST(FastcgiProtocol, FieldsOfOneNameAreJoined) {
  FastCgiRequest c;
  c.request.fields = {{"Accept", "a"}, {"Cookie", "a=1"}, {"accept", "b"}, {"cookie", "b=2"}};
  EXPECT_EQ(c.params(), "HTTP_ACCEPT=a, b;HTTP_COOKIE=a=1; b=2;");
}

TEST(FastcgiProtocol, WhatNoClientMaySay) {
  FastCgiRequest c;
  c.request.fields = {{"Proxy", "http://evil"}, {"X_Real", "1"},         {"X-Forwarded-For", "1"}, {"X-Real-IP", "1"},
                      {"Forwarded", "for=1"},   {"Webhook-Id", "1"},     {"Ce-Type", "1"},         {"Beamgate-User", "1"},
                      {"Transfer-Encoding", "chunked"}, {"Connection", "close"}, {"Content-Type", "t"}};
  EXPECT_EQ(c.params(), "HTTP_CONNECTION=close;HTTP_CONTENT_TYPE=t;");
  c.server.underscores_in_headers = true;
  c.request.trusted_peer = true;
  c.request.fields.push_back({"pro_xy", "1"});
  c.request.fields.push_back({"Webhook_Id", "1"});
  EXPECT_EQ(c.params(), "HTTP_X_REAL=1;HTTP_X_FORWARDED_FOR=1;HTTP_X_REAL_IP=1;HTTP_CONNECTION=close;"
                        "HTTP_CONTENT_TYPE=t;HTTP_PRO_XY=1;");
}

TEST(FastcgiProtocol, BodiesAndTheirLength) {
  FastCgiRequest c;
  c.param("CONTENT_LENGTH", "$content_length");
  c.request.fields = {};
  c.request.chunked = true;
  EXPECT_TRUE(c.protocol.needs_length(c.request));
  EXPECT_TRUE(c.protocol.sends_body(c.request));
  EXPECT_EQ(c.params(), "CONTENT_LENGTH=;");
  EXPECT_EQ(c.stdin_records, 0);
  EXPECT_EQ(c.params(12), "CONTENT_LENGTH=12;");
  c.location.fastcgi.pass_request_body = false;
  EXPECT_FALSE(c.protocol.sends_body(c.request));
  c.params();
  EXPECT_EQ(c.stdin_records, 1);
}

TEST(FastcgiProtocol, KeepsConnectionsOnlyWhenAsked) {
  FastCgiRequest c;
  c.params();
  EXPECT_FALSE(c.keep || c.flags != 0 || c.protocol.may_reuse(c.request));
  c.location.fastcgi.keep_conn = true;
  c.params();
  EXPECT_TRUE(c.keep && c.flags == 1 && c.protocol.may_reuse(c.request));
}

TEST(FastcgiProtocol, FieldsOfResponses) {
  FastCgiRequest c;
  c.location.fastcgi.hide_headers = {"x-powered-by"};
  const std::vector<http::ResponseField> fields = {{"Connection", "x-gone"}, {"X-Gone", "1"}, {"X-Powered-By", "PHP"},
                                                   {"Transfer-Encoding", "chunked"}, {"X-Accel-Redirect", "/x"},
                                                   {"Date", "d"}, {"Content-Type", "t"}};
  EXPECT_EQ(c.fitted(fields), "Date;Content-Type;");
  c.location.fastcgi.pass_headers = {"X-Accel-Redirect"};
  EXPECT_EQ(c.fitted(fields), "X-Accel-Redirect;Date;Content-Type;");
}

}  // namespace
}  // namespace beamgate::upstream
