// Header text: no value, whatever an application or a client put into it, may end a header line, and what
// goes out comes back the same.
#include "worker/hook/header_text.h"

#include <gtest/gtest.h>

namespace beamgate::hook {
namespace {

TEST(HeaderText, PlainAsciiTravelsAsItIs) {
  EXPECT_EQ(percent_encode(R"({"room": "a b"})"), R"({"room": "a b"})");
  EXPECT_EQ(percent_encode(""), "");
}

TEST(HeaderText, EverythingElseIsEncoded) {
  EXPECT_EQ(percent_encode("a\r\nx: y"), "a%0D%0Ax: y");
  EXPECT_EQ(percent_encode("50%"), "50%25");
  EXPECT_EQ(percent_encode(" a "), "%20a%20");
  EXPECT_EQ(percent_encode("J\xc3\xb6rg"), "J%C3%B6rg");
  EXPECT_EQ(percent_encode(std::string_view("\0\x7f", 2)), "%00%7F");
}

TEST(HeaderText, EveryByteComesBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const std::string encoded = percent_encode(all);
  for (const char c : encoded) EXPECT_TRUE(c >= 0x20 && c <= 0x7e);
  EXPECT_EQ(percent_decode(encoded), all);
}

TEST(HeaderText, BrokenEncodingIsRefused) {
  EXPECT_EQ(percent_decode("%41b%2f%2F"), "Ab//");
  for (const char* bad : {"%", "a%4", "%zz", "%4g", "100%"}) EXPECT_FALSE(percent_decode(bad)) << bad;
}

}  // namespace
}  // namespace beamgate::hook
