// Byte ranges: what a Range field asks of a representation of known length (RFC 9110 section 14).
//
// Limits   kRangesMax ranges, and never more bytes in all than the whole has: beyond either the field is
//          ignored and the whole is served, so that a small request can't ask for a large multiple of a file.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace beamgate::http {

struct ByteRange {
  uint64_t offset = 0;
  uint64_t count = 0;
};

struct RangeAnswer {
  enum class Kind : uint8_t { Whole, Partial, Unsatisfiable };
  Kind kind = Kind::Whole;
  std::vector<ByteRange> ranges;  // Partial: in the order asked for, at least one, each of at least one byte.
};

constexpr size_t kRangesMax = 32;

// Malformed fields and other units than bytes are ignored: Whole.
RangeAnswer parse_ranges(std::string_view field, uint64_t length);

}  // namespace beamgate::http
