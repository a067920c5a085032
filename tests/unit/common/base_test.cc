// Vocabulary types: text helpers and clocks that other rooms rely on.
#include <gtest/gtest.h>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/result.h"

namespace beamgate {
namespace {

TEST(Bytes, ParseDecimalTakesDigitsOnly) {
  uint64_t value = 0;
  EXPECT_TRUE(parse_decimal("18446744073709551615", value));
  EXPECT_EQ(value, UINT64_MAX);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616"}) {
    EXPECT_FALSE(parse_decimal(bad, value)) << bad;
  }
}

TEST(Bytes, TrimRemovesOnlyOptionalWhiteSpace) {
  EXPECT_EQ(trim(" \ta b\t "), "a b");
  EXPECT_EQ(trim("\r\n"), "\r\n");
}

TEST(Clock, HttpDateRoundTripsAndRejects) {
  EXPECT_EQ(format_http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
  EXPECT_EQ(parse_http_date("yesterday"), -1);
}

TEST(Result, HoldsValueOrError) {
  const Result<int> good(7);
  const Result<int> bad(Error{Code::NotFound, ENOENT, "no file"});
  EXPECT_EQ(good.value(), 7);
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().message(), "no file: No such file or directory");
}

}  // namespace
}  // namespace beamgate
