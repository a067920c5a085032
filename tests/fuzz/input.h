// Input: parameters taken from the front of a fuzzer's bytes, and bytes in pieces as a network would cut them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/bytes.h"

namespace beamgate::fuzz {

class Input {
 public:
  explicit Input(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

  uint8_t byte() {  // 0 behind the end.
    const std::string_view taken = bytes(1);
    return taken.empty() ? uint8_t{0} : static_cast<uint8_t>(taken[0]);
  }
  std::string_view bytes(size_t most) {
    const std::string_view taken = rest_.substr(0, most);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  // Up to the next LF, which goes too.
  std::string_view line() {
    const std::string_view taken = rest_.substr(0, rest_.find('\n'));
    rest_.remove_prefix(std::min(taken.size() + 1, rest_.size()));
    return taken;
  }
  uint64_t number() {  // A line that is one, else 0.
    uint64_t out = 0;
    return parse_decimal(line(), out) ? out : 0;
  }

 private:
  std::string_view rest_;
};

// Ways of cutting bytes; what is read must not depend on which.
enum class Cut : uint8_t { Whole, EachByte, Unevenly };
inline constexpr std::array kCuts = {Cut::EachByte, Cut::Unevenly};

// take(piece) for each piece, until it says false.  Uneven pieces depend on nothing but the bytes.
template <typename Take>
void in_pieces(std::string_view bytes, Cut cut, Take take) {
  uint64_t random = stable_hash(bytes) | 1;
  while (!bytes.empty()) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const size_t size = cut == Cut::Whole ? bytes.size() : cut == Cut::EachByte ? 1 : 1 + (random >> 33) % 23;
    if (!take(bytes.substr(0, size))) return;
    bytes.remove_prefix(std::min(size, bytes.size()));
  }
}

}  // namespace beamgate::fuzz
