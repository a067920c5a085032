// Byte ranges: what is served lies within the representation, is no more than the whole, and is what RFC 9110 section
// 14.1.2 says.  Input: the length in decimal, LF, the field.
#include "common/base/assert.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "worker/http/byte_ranges.h"

namespace beamgate::fuzz {

FUZZ_TARGET(byte_ranges) {
  using Kind = http::RangeAnswer::Kind;
  Input input(bytes);
  const uint64_t length = input.number();
  const http::RangeAnswer answer = http::parse_ranges(input.rest(), length);
  BG_ASSERT((answer.kind == Kind::Partial) == !answer.ranges.empty());
  BG_ASSERT(answer.ranges.size() <= http::kRangesMax);
  unsigned __int128 total = 0;
  std::string canonical = "bytes=";
  for (const http::ByteRange& range : answer.ranges) {
    BG_ASSERT(range.count > 0 && range.offset < length && range.count <= length - range.offset);
    total += range.count;
    if (canonical.back() != '=') canonical += ',';
    canonical += std::to_string(range.offset) + '-' + std::to_string(range.offset + range.count - 1);
  }
  BG_ASSERT(total <= length);
  if (answer.kind != Kind::Partial) return;
  // Written plainly they are the same ranges, of any representation that is at least as long.
  for (const uint64_t longer : {length, UINT64_MAX}) {
    const http::RangeAnswer again = http::parse_ranges(canonical, longer);
    BG_ASSERT(again.kind == Kind::Partial && again.ranges.size() == answer.ranges.size());
    for (size_t i = 0; i < answer.ranges.size(); ++i) {
      BG_ASSERT(again.ranges[i].offset == answer.ranges[i].offset && again.ranges[i].count == answer.ranges[i].count);
    }
  }
}

}  // namespace beamgate::fuzz
