// Printable: every text that a terminal might obey is escaped, and its harmless neighbour is not.
#include "common/base/printable.h"

#include <gtest/gtest.h>

namespace beamgate {
namespace {

TEST(Printable, TextIsShownAsItIs) {
  for (const char* text : {"", " plain ~", "a \\ and a \"", "\xc2\xa0", "M\xc3\xbcnchen", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    EXPECT_TRUE(is_printable(text)) << text;
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, ControlsAreEscaped) {
  const struct {
    std::string_view text, shown;
  } cases[] = {
      {std::string_view("\0", 1), "\\x00"},
      {"two\nlines \x1b[31m", "two\\x0alines \\x1b[31m"},
      {"\x1f\x7f", "\\x1f\\x7f"},
      {"\xc2\x80", "\\xc2\\x80"},
      {"a\xc2\x9b" "31mb", "a\\xc2\\x9b31mb"},
      {"\xc2\x9f\xc2\xa0", "\\xc2\\x9f\xc2\xa0"},
  };
  for (const auto& [text, shown] : cases) {
    EXPECT_FALSE(is_printable(text)) << shown;
    EXPECT_EQ(printable(text), shown);
  }
}

TEST(Printable, WhatIsNoUtf8IsEscaped) {
  const struct {
    std::string_view text, shown;
  } cases[] = {
      {"\x9b" "31m", "\\x9b31m"},  // A terminal of eight bits knows it as ESC [.
      {"\xff", "\\xff"},
      {"\xc3", "\\xc3"},
      {"\xe2\x82", "\\xe2\\x82"},
      {"\xc3\xc3\xbc", "\\xc3\xc3\xbc"},
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},  // A surrogate.
      {"\xc0\x9b", "\\xc0\\x9b"},          // ESC, too long.
  };
  for (const auto& [text, shown] : cases) {
    EXPECT_FALSE(is_printable(text)) << shown;
    EXPECT_EQ(printable(text), shown);
  }
}

}  // namespace
}  // namespace beamgate
