// Value: the words that stand for numbers, sizes and times.
//
// Grammar  nginx's: sizes 512, 64k, 1m, 1g; times 500ms, 30s, 5m, 1h, 1d, 1w, and sums of them with the
//          larger unit first ("1h30m"); a bare number is seconds.
// Errors   std::nullopt for anything else, overflow included; never a partly read number.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace beamgate::config {

std::optional<uint64_t> parse_number(std::string_view text);
std::optional<uint64_t> parse_size(std::string_view text);    // Bytes.
std::optional<int64_t> parse_time_ms(std::string_view text);  // Milliseconds.

}  // namespace beamgate::config
