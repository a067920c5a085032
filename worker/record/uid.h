// Connection id: the public, node-wide name of a connection, 64 bits.
//
// Format   worker (16 bits) | slot (24) | nonce (24); written as 16 lower-case hex digits.  worker and slot
//          tell where the connection was born, which is a hint only: an adopted connection keeps its id.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace beamgate::record {

constexpr uint64_t make_uid(uint16_t worker, uint32_t slot, uint32_t nonce) {
  return uint64_t{worker} << 48 | (uint64_t{slot} & 0xffffff) << 24 | (nonce & 0xffffff);
}
constexpr uint16_t uid_worker(uint64_t uid) { return static_cast<uint16_t>(uid >> 48); }
constexpr uint32_t uid_slot(uint64_t uid) { return static_cast<uint32_t>(uid >> 24) & 0xffffff; }

std::string format_uid(uint64_t uid);
std::string format_uid_or_none(uint64_t uid);  // "-" for 0; for logs.
std::optional<uint64_t> parse_uid(std::string_view text);

}  // namespace beamgate::record
