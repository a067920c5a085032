// Range fields: what they select, what is ignored, and what can't be satisfied.
#include "worker/http/byte_ranges.h"

#include <gtest/gtest.h>

#include <string>

namespace beamgate::http {
namespace {

std::string describe(std::string_view field, uint64_t length) {
  const RangeAnswer answer = parse_ranges(field, length);
  if (answer.kind == RangeAnswer::Kind::Whole) return "whole";
  if (answer.kind == RangeAnswer::Kind::Unsatisfiable) return "416";
  std::string out;
  for (const ByteRange& range : answer.ranges) {
    out += std::to_string(range.offset) + "+" + std::to_string(range.count) + " ";
  }
  return out;
}

TEST(ByteRanges, Table) {
  const struct {
    const char* field;
    const char* answer;
  } rows[] = {
      {"bytes=0-0", "0+1 "},
      {"bytes=0-9", "0+10 "},
      {"bytes=5-", "5+5 "},
      {"bytes=-3", "7+3 "},
      {"bytes=-100", "0+10 "},
      {"bytes=5-100", "5+5 "},
      {"Bytes=1-2", "1+2 "},
      {"bytes=0-1, 4-5,-1", "0+2 4+2 9+1 "},
      {"bytes=0-1,20-", "0+2 "},
      {"bytes=10-", "416"},
      {"bytes=10-20,30-40", "416"},
      {"bytes=-0", "416"},
      {"", "whole"},
      {"bytes", "whole"},
      {"bytes=", "whole"},
      {"bytes=-", "whole"},
      {"bytes=2-1", "whole"},
      {"bytes=a-b", "whole"},
      {"bytes=1", "whole"},
      {"bytes=0-1,", "whole"},
      {"bytes=+1-2", "whole"},
      {"bytes=99999999999999999999-", "whole"},
      {"items=0-1", "whole"},
      {"bytes=0-,0-", "whole"},  // More than the whole: not worth a response of its own.
      {"bytes=0-6,3-9", "whole"},
  };
  for (const auto& row : rows) EXPECT_EQ(describe(row.field, 10), row.answer) << row.field;
  EXPECT_EQ(describe("bytes=0-0", 0), "416");
  EXPECT_EQ(describe("bytes=-1", 0), "416");
}

TEST(ByteRanges, TheirNumberIsLimited) {
  std::string field = "bytes=0-0";
  for (size_t i = 1; i < kRangesMax; ++i) field += "," + std::to_string(i) + "-" + std::to_string(i);
  EXPECT_EQ(parse_ranges(field, 1000).ranges.size(), kRangesMax);
  EXPECT_EQ(describe(field + ",500-500", 1000), "whole");
}

}  // namespace
}  // namespace beamgate::http
