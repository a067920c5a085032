// Which responses are compressed for whom: the table of rules, each with the case beside it that they let pass.
#include "worker/http/gzip_rules.h"

#include <gtest/gtest.h>

#include "common/config/regex.h"
#include "worker/http/accept_encoding.h"

namespace beamgate::http {
namespace {

bool accepts(std::vector<std::string_view> values) {
  Request request;
  for (const std::string_view value : values) request.fields.push_back({"Accept-Encoding", value});
  return accepts_gzip(request);
}

TEST(AcceptEncoding, TakesGzip) {
  for (const char* yes : {"gzip", "GZip", "x-gzip", "deflate, gzip", "gzip;q=1", "gzip;q=0.001", "gzip; Q=0.5", "*",
                          "*;q=0.1", "br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip , br", "identity;q=0.5, gzip;q=0.5",
                          "identity;q=0, *;q=0, gzip", "\tgzip\t;\tq=1.000", ",,gzip,", "br, gzip;q=0.5"}) {
    EXPECT_TRUE(accepts({yes})) << yes;
  }
  EXPECT_TRUE(accepts({"br", "gzip"}));
}

TEST(AcceptEncoding, RefusesGzip) {
  for (const char* no : {"", "identity", "br", "gzip;q=0", "gzip;q=0.000", "*;q=0", "gzip;q=0, *", "*, gzip;q=0",
                         "gzipx", "xgzip", "gzip;q=2", "gzip;q=1.001", "gzip;q=0.0001", "gzip;q=-1", "gzip;q=a",
                         "gzip;q=", "gzip;q", "gzip;level=1", "gzip q=1", "identity;q=1, gzip;q=0.5",
                         "gzip, gzip;q=0", "gzip;q=0;q=1"}) {
    EXPECT_FALSE(accepts({no})) << no;
  }
  EXPECT_FALSE(accepts({}));
  EXPECT_FALSE(accepts({"gzip", "gzip;q=0"}));
}

struct Case {
  Case() {
    gzip.on = true;
    request.method = "GET";
    request.fields = {{"Accept-Encoding", "gzip"}};
    head.content_length = 1'000;
    head.fields = {{"Content-Type", "text/html; charset=utf-8"}};
  }
  bool wanted() const { return wants_gzip(gzip, request, head, 1'000'000'000); }

  config::Gzip gzip;
  Request request;
  ResponseHead head;
};

TEST(GzipRules, Statuses) {
  Case c;
  for (const uint16_t status : std::initializer_list<uint16_t>{200, 403, 404}) {
    c.head.status = status;
    EXPECT_TRUE(c.wanted()) << status;
  }
  for (const uint16_t status : std::initializer_list<uint16_t>{101, 201, 204, 206, 301, 304, 400, 500}) {
    c.head.status = status;
    EXPECT_FALSE(c.wanted()) << status;
  }
}

TEST(GzipRules, OnlyWhenOnAndForThoseWhoAccept) {
  Case c;
  EXPECT_TRUE(c.wanted());
  c.request.method = "HEAD";
  EXPECT_FALSE(c.wanted());
  EXPECT_TRUE(may_be_gzipped(c.gzip, c.head));  // So that it varies.
  c.request.method = "POST";
  EXPECT_TRUE(c.wanted());
  c.request.fields = {};
  EXPECT_FALSE(c.wanted());
  c.request.fields = {{"Accept-Encoding", "gzip"}};
  c.gzip.on = false;
  EXPECT_FALSE(c.wanted());
}

TEST(GzipRules, Types) {
  Case c;
  c.head.fields = {{"Content-Type", "Text/HTML"}};
  EXPECT_TRUE(c.wanted());
  c.head.fields = {{"Content-Type", "application/json"}};
  EXPECT_FALSE(c.wanted());
  c.gzip.types.push_back("application/json");
  EXPECT_TRUE(c.wanted());
  c.head.fields = {{"Content-Type", "image/png"}};
  EXPECT_FALSE(c.wanted());
  c.gzip.all_types = true;
  EXPECT_TRUE(c.wanted());
  c.head.fields = {};
  EXPECT_FALSE(c.wanted());
}

TEST(GzipRules, Lengths) {
  Case c;
  c.head.content_length = 19;
  EXPECT_FALSE(c.wanted());
  c.head.content_length = 20;
  EXPECT_TRUE(c.wanted());
  c.head.content_length.reset();
  EXPECT_TRUE(c.wanted());
}

TEST(GzipRules, WhatMayNotBeChanged) {
  for (const ResponseField& field : {ResponseField{"Content-Encoding", "br"}, ResponseField{"content-encoding", "gzip"},
                                     ResponseField{"Cache-Control", "private, No-Transform"},
                                     ResponseField{"Content-Range", "bytes 0-1/2"}}) {
    Case c;
    c.head.fields.push_back(field);
    EXPECT_FALSE(may_be_gzipped(c.gzip, c.head)) << field.name;
  }
  Case c;
  c.head.fields.push_back({"Cache-Control", "private"});
  EXPECT_TRUE(c.wanted());
}

TEST(GzipRules, Versions) {
  Case c;
  c.request.version_minor = 0;
  EXPECT_FALSE(c.wanted());
  c.gzip.http_minor = 0;
  EXPECT_TRUE(c.wanted());
}

TEST(GzipRules, Proxies) {
  struct Row {
    uint32_t allowed;
    ResponseField field;
    bool wanted;
  };
  const Row rows[] = {
      {0, {"Cache-Control", "private"}, false},
      {config::kProxiedAny, {"X", "y"}, true},
      {config::kProxiedPrivate, {"Cache-Control", "max-age=1, private"}, true},
      {config::kProxiedPrivate, {"Cache-Control", "no-store"}, false},
      {config::kProxiedNoStore, {"Cache-Control", "no-store"}, true},
      {config::kProxiedNoCache, {"Cache-Control", "no-cache"}, true},
      {config::kProxiedExpired, {"Expires", "Thu, 01 Jan 1970 00:00:01 GMT"}, true},
      {config::kProxiedExpired, {"Expires", "0"}, true},
      {config::kProxiedExpired, {"Expires", "Fri, 01 Jan 2100 00:00:00 GMT"}, false},
      {config::kProxiedExpired, {"X", "y"}, false},
      {config::kProxiedNoEtag, {"X", "y"}, true},
      {config::kProxiedNoEtag, {"ETag", "\"a\""}, false},
      {config::kProxiedNoLastModified, {"X", "y"}, true},
      {config::kProxiedNoLastModified, {"Last-Modified", "x"}, false},
  };
  for (const Row& row : rows) {
    Case c;
    c.gzip.proxied = row.allowed;
    c.head.fields.push_back(row.field);
    EXPECT_TRUE(c.wanted());  // Without Via there is no proxy.
    c.request.fields.push_back({"Via", "1.1 x"});
    EXPECT_EQ(c.wanted(), row.wanted) << row.field.name << ": " << row.field.value;
  }
  Case c;
  c.gzip.proxied = config::kProxiedAuth;
  c.request.fields.push_back({"Via", "1.1 x"});
  EXPECT_FALSE(c.wanted());
  c.request.fields.push_back({"Authorization", "x"});
  EXPECT_TRUE(c.wanted());
}

TEST(GzipRules, DisabledClients) {
  Case c;
  config::Regex::CompileError error;
  c.gzip.disabled.push_back(config::Regex::compile("old", true, error));
  EXPECT_TRUE(c.wanted());
  c.request.fields.push_back({"User-Agent", "The OLD one"});
  EXPECT_FALSE(c.wanted());
}

TEST(GzipRules, TheHead) {
  Case c;
  c.head.fields.push_back({"ETag", "\"a\""});
  c.head.fields.push_back({"Accept-Ranges", "bytes"});
  become_gzip(c.head);
  vary_by_encoding(c.head);
  vary_by_encoding(c.head);  // Once is enough.
  std::string fields;
  for (const ResponseField& field : c.head.fields) fields += field.name + "=" + field.value + ";";
  EXPECT_EQ(fields, "Content-Type=text/html; charset=utf-8;ETag=W/\"a\";Content-Encoding=gzip;Vary=Accept-Encoding;");
  EXPECT_FALSE(c.head.content_length.has_value());
  ResponseHead other;
  other.fields = {{"ETag", "W/\"a\""}, {"Vary", "Cookie, accept-encoding"}};
  become_gzip(other);
  vary_by_encoding(other);
  EXPECT_EQ(other.fields[0].value, "W/\"a\"");
  EXPECT_EQ(other.fields.size(), 3u);
}

TEST(GzipRules, WhatDependsOnTheEncoding) {
  Case c;
  EXPECT_TRUE(depends_on_encoding(c.gzip, c.head));
  c.head.status = 304;
  EXPECT_TRUE(depends_on_encoding(c.gzip, c.head));
  c.head.fields = {};
  EXPECT_TRUE(depends_on_encoding(c.gzip, c.head));  // It doesn't say what it stands for.
  c.head.fields = {{"Content-Type", "image/png"}};
  EXPECT_FALSE(depends_on_encoding(c.gzip, c.head));
  c.head.status = 500;
  c.head.fields = {{"Content-Type", "text/html"}};
  EXPECT_FALSE(depends_on_encoding(c.gzip, c.head));
}

}  // namespace
}  // namespace beamgate::http
