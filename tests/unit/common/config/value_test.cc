// Shows that sizes and times are read whole or not at all, with nginx's units.
#include "common/config/value.h"

#include <gtest/gtest.h>

namespace beamgate::config {
namespace {

TEST(Value, Sizes) {
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_EQ(parse_size("512"), 512u);
  EXPECT_EQ(parse_size("64k"), 65536u);
  EXPECT_EQ(parse_size("64K"), 65536u);
  EXPECT_EQ(parse_size("1m"), 1u << 20);
  EXPECT_EQ(parse_size("2G"), 2ull << 30);
  for (const char* bad :
       {"", "k", "1kb", "1.5k", "-1", "+1", "1 k", "1t", "99999999999999999999", "9999999999999g", "0x10"}) {
    EXPECT_EQ(parse_size(bad), std::nullopt) << bad;
  }
}

TEST(Value, Times) {
  EXPECT_EQ(parse_time_ms("0"), 0);
  EXPECT_EQ(parse_time_ms("30"), 30'000);
  EXPECT_EQ(parse_time_ms("500ms"), 500);
  EXPECT_EQ(parse_time_ms("30s"), 30'000);
  EXPECT_EQ(parse_time_ms("5m"), 300'000);
  EXPECT_EQ(parse_time_ms("1h"), 3'600'000);
  EXPECT_EQ(parse_time_ms("1d"), 86'400'000);
  EXPECT_EQ(parse_time_ms("1w"), 7 * 86'400'000);
  EXPECT_EQ(parse_time_ms("1h30m"), 5'400'000);
  EXPECT_EQ(parse_time_ms("1m30"), 90'000);
  for (const char* bad : {"", "s", "ms", "1x", "1m1h", "1s1s", "1.5s", "-1s", "5 s", "1y",
                          "99999999999999999999s", "9999999999999w", "1sms"}) {
    EXPECT_EQ(parse_time_ms(bad), std::nullopt) << bad;
  }
}

TEST(Value, Numbers) {
  EXPECT_EQ(parse_number("0"), 0u);
  EXPECT_EQ(parse_number("18446744073709551615"), UINT64_MAX);
  for (const char* bad : {"", "18446744073709551616", "-1", "1 ", "0x1", "1k"}) {
    EXPECT_EQ(parse_number(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace beamgate::config
