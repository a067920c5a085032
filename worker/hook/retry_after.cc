#include "worker/hook/retry_after.h"

#include <algorithm>
#include <string>

#include "common/base/bytes.h"
#include "common/base/clock.h"

namespace beamgate::hook {

std::optional<int64_t> parse_retry_after(std::string_view text, int64_t now_unix_ms) {
  text = trim(text);
  uint64_t seconds = 0;
  if (parse_decimal(text, seconds)) {
    return static_cast<int64_t>(std::min<uint64_t>(seconds, kRetryAfterMaxMs / 1000)) * 1000;
  }
  const int64_t date = parse_http_date(std::string(text));
  if (date < 0) return std::nullopt;
  return std::clamp<int64_t>(date * 1000 - now_unix_ms, 0, kRetryAfterMaxMs);
}

}  // namespace beamgate::hook
