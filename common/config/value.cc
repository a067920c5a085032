#include "common/config/value.h"

#include "common/base/bytes.h"

namespace beamgate::config {
namespace {

constexpr uint64_t kMillisecondsMax = uint64_t{1} << 52;  // Sums of deadlines stay far from overflow.

struct Unit {
  std::string_view name;
  uint64_t milliseconds;
};

// Largest first: the order in which a sum may use them.
constexpr Unit kUnits[] = {
    {"w", 7 * 86'400'000ull}, {"d", 86'400'000ull}, {"h", 3'600'000ull},
    {"m", 60'000ull},         {"s", 1'000ull},      {"ms", 1ull},
};

size_t digits_at_front(std::string_view text) {
  size_t count = 0;
  while (count < text.size() && text[count] >= '0' && text[count] <= '9') ++count;
  return count;
}

size_t letters_at_front(std::string_view text) {
  size_t count = 0;
  while (count < text.size() && (text[count] < '0' || text[count] > '9')) ++count;
  return count;
}

}  // namespace

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  if (!parse_decimal(text, value)) return std::nullopt;
  return value;
}

std::optional<uint64_t> parse_size(std::string_view text) {
  if (text.empty()) return std::nullopt;
  unsigned shift = 0;
  switch (text.back() | 0x20) {
    case 'k':
      shift = 10;
      break;
    case 'm':
      shift = 20;
      break;
    case 'g':
      shift = 30;
      break;
    default:
      break;
  }
  if (shift != 0) text.remove_suffix(1);
  uint64_t value = 0;
  if (!parse_decimal(text, value) || value > (UINT64_MAX >> 1) >> shift) return std::nullopt;
  return value << shift;
}

std::optional<int64_t> parse_time_ms(std::string_view text) {
  if (text.empty()) return std::nullopt;
  uint64_t total = 0;
  size_t unit_next = 0;  // Units before this one are used up.
  while (!text.empty()) {
    uint64_t number = 0;
    const size_t digits = digits_at_front(text);
    if (!parse_decimal(text.substr(0, digits), number) || number > kMillisecondsMax) return std::nullopt;
    text.remove_prefix(digits);
    std::string_view name = text.substr(0, letters_at_front(text));
    text.remove_prefix(name.size());
    if (name.empty()) name = "s";
    size_t unit = unit_next;
    while (unit < std::size(kUnits) && kUnits[unit].name != name) ++unit;
    if (unit == std::size(kUnits)) return std::nullopt;
    unit_next = unit + 1;
    uint64_t part = 0;
    if (__builtin_mul_overflow(number, kUnits[unit].milliseconds, &part)) return std::nullopt;
    total += part;
    if (part > kMillisecondsMax || total > kMillisecondsMax) return std::nullopt;
  }
  return static_cast<int64_t>(total);
}

}  // namespace beamgate::config
