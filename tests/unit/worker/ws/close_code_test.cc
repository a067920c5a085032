// Close payloads: the codes that may be on the wire and the ones that mustn't (RFC 6455 section 7.4), with the
// answer each kind of malformed payload gets.
#include "worker/ws/close_code.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

namespace beamgate::ws {
namespace {

std::string payload(uint16_t code, std::string_view reason = {}) {
  std::string out = {static_cast<char>(code >> 8), static_cast<char>(code)};
  return out.append(reason);
}

TEST(CloseCode, WhatMayBeSent) {
  for (const uint16_t code : std::initializer_list<uint16_t>{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999}) {
    EXPECT_TRUE(valid_close_code(code)) << code;
    EXPECT_EQ(parse_close(payload(code)).violation, 0) << code;
    EXPECT_EQ(parse_close(payload(code)).code, code);
  }
}

TEST(CloseCode, WhatMayNot) {
  for (const uint16_t code : std::initializer_list<uint16_t>{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535}) {
    EXPECT_FALSE(valid_close_code(code)) << code;
    EXPECT_EQ(parse_close(payload(code)).violation, kCloseProtocolError) << code;
  }
}

TEST(CloseCode, Payloads) {
  EXPECT_EQ(parse_close("").code, kCloseNoStatus);
  EXPECT_EQ(parse_close("").violation, 0);
  EXPECT_EQ(parse_close("\x03").violation, kCloseProtocolError);
  EXPECT_EQ(parse_close(payload(1000, "bye \xe2\x82\xac")).reason, "bye \xe2\x82\xac");
  EXPECT_EQ(parse_close(payload(1000, "bye \xe2\x82")).violation, kCloseInvalidPayload);
  EXPECT_EQ(parse_close(payload(1000, std::string(123, 'x'))).violation, 0);
}

}  // namespace
}  // namespace beamgate::ws
