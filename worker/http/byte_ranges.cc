#include "worker/http/byte_ranges.h"

#include <algorithm>

#include "common/base/bytes.h"

namespace beamgate::http {
namespace {

enum class Spec : uint8_t { Malformed, Satisfiable, Unsatisfiable };

// "first-last", "first-" or "-suffix".
Spec parse_spec(std::string_view text, uint64_t length, ByteRange& out) {
  const size_t dash = text.find('-');
  if (dash == text.npos) return Spec::Malformed;
  const std::string_view first_text = text.substr(0, dash);
  const std::string_view last_text = text.substr(dash + 1);
  uint64_t first = 0;
  uint64_t last = UINT64_MAX;
  if (first_text.empty()) {
    uint64_t suffix = 0;
    if (!parse_decimal(last_text, suffix)) return Spec::Malformed;
    if (suffix == 0 || length == 0) return Spec::Unsatisfiable;
    out.count = std::min(suffix, length);
    out.offset = length - out.count;
    return Spec::Satisfiable;
  }
  if (!parse_decimal(first_text, first)) return Spec::Malformed;
  if (!last_text.empty() && !parse_decimal(last_text, last)) return Spec::Malformed;
  if (last < first) return Spec::Malformed;
  if (first >= length) return Spec::Unsatisfiable;
  out.offset = first;
  out.count = std::min(last, length - 1) - first + 1;
  return Spec::Satisfiable;
}

}  // namespace

RangeAnswer parse_ranges(std::string_view field, uint64_t length) {
  constexpr std::string_view kUnit = "bytes=";
  if (field.size() < kUnit.size() || !iequals(field.substr(0, kUnit.size()), kUnit)) return {};
  std::string_view rest = field.substr(kUnit.size());
  RangeAnswer answer;
  uint64_t left = length;  // All ranges together are no more than the whole.
  bool fits = true;
  size_t specs = 0;
  while (true) {
    const size_t comma = rest.find(',');
    ByteRange range;
    const Spec spec = parse_spec(trim(rest.substr(0, comma)), length, range);
    if (spec == Spec::Malformed || ++specs > kRangesMax) return {};
    if (spec == Spec::Satisfiable) {
      answer.ranges.push_back(range);
      fits = fits && range.count <= left;
      if (fits) left -= range.count;
    }
    if (comma == rest.npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (answer.ranges.empty()) {
    answer.kind = RangeAnswer::Kind::Unsatisfiable;
    return answer;
  }
  if (!fits) return {};
  answer.kind = RangeAnswer::Kind::Partial;
  return answer;
}

}  // namespace beamgate::http
