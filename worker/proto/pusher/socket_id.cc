#include "worker/proto/pusher/socket_id.h"

#include "common/base/bytes.h"

namespace beamgate::pusher {

std::string format_socket_id(uint64_t uid) {
  return std::to_string(uid >> 32) + "." + std::to_string(uid & UINT32_MAX);
}

std::optional<uint64_t> parse_socket_id(std::string_view text) {
  const size_t dot = text.find('.');
  uint64_t high = 0;
  uint64_t low = 0;
  if (dot == std::string_view::npos) return std::nullopt;
  if (!parse_decimal(text.substr(0, dot), high) || !parse_decimal(text.substr(dot + 1), low)) return std::nullopt;
  if (high > UINT32_MAX || low > UINT32_MAX) return std::nullopt;
  const uint64_t uid = high << 32 | low;
  return format_socket_id(uid) == text ? std::optional(uid) : std::nullopt;  // Zeros in front name another one.
}

}  // namespace beamgate::pusher
