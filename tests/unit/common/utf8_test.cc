// UTF-8: every kind of sequence that Unicode allows passes, every neighbour that it forbids does not.
#include "common/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace beamgate {
namespace {

TEST(Utf8, WellFormedTextIsValid) {
  for (const char* good : {"", "plain", "eight by", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                           "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "long ascii and then \xe2\x82\xac"}) {
    EXPECT_TRUE(valid_utf8(good)) << good;
  }
}

TEST(Utf8, OverlongSurrogateCutAndOutOfRangeAreNot) {
  for (const char* bad : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2z", "\xe0\x9f\xbf", "\xe2\x82",
                          "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
                          "long ascii and then \xe2\x82"}) {
    EXPECT_FALSE(valid_utf8(bad)) << bad;
  }
  EXPECT_EQ(utf8_sequence_length(""), 0u);
}

}  // namespace
}  // namespace beamgate
