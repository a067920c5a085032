// Response heads as header lists: names in lower case, nothing of HTTP/1's connections, no line breaks.
#include "worker/http2/response_fields.h"

#include <gtest/gtest.h>

namespace beamgate::http2 {
namespace {

std::vector<std::string> lines(ResponseFields& fields) {
  std::vector<std::string> out;
  for (const nghttp2_nv& field : fields.list()) {
    out.push_back(std::string(reinterpret_cast<char*>(field.name), field.namelen) + "=" +
                  std::string(reinterpret_cast<char*>(field.value), field.valuelen));
  }
  return out;
}

using Lines = std::vector<std::string>;

TEST(ResponseFields, AWholeHead) {
  const http::ResponseContext context{.method = "GET", .date = "now", .server = "BeamGate"};
  ResponseFields fields;
  fields.add_head({200, {{"Content-Type", "text/plain"}, {"Connection", "close"}, {"Content-Length", "9"}}, 5}, context);
  EXPECT_EQ(lines(fields), (Lines{":status=200", "server=BeamGate", "date=now", "content-type=text/plain",
                                  "content-length=5"}));
  fields.clear();
  fields.add_head({204, {{"Server", "other"}, {"Date", "then"}}, 0}, context);
  EXPECT_EQ(lines(fields), (Lines{":status=204", "server=other", "date=then"}));
}

TEST(ResponseFields, WhatCanNotBeSent) {
  ResponseFields fields;
  fields.add("X-One", std::string_view(" a\r\nb\0c\t", 8));
  fields.add("no token", "x");
  fields.add(":status", "500");
  fields.add("", "x");
  for (const char* name : {"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade"}) {
    fields.add(name, "x");
  }
  fields.add("x-two", "");
  EXPECT_EQ(lines(fields), (Lines{"x-one=a  b c", "x-two="}));
}

}  // namespace
}  // namespace beamgate::http2
