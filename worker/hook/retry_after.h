// Retry-After (RFC 9110 section 10.2.3): seconds, or an HTTP date.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace beamgate::hook {

constexpr int64_t kRetryAfterMaxMs = 3'600'000;  // Longer waits are cut to it.

// Milliseconds from now, 0 for a time that has passed; nothing when the text is neither.
std::optional<int64_t> parse_retry_after(std::string_view text, int64_t now_unix_ms);

}  // namespace beamgate::hook
