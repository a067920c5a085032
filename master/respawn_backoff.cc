#include "master/respawn_backoff.h"

#include <algorithm>

namespace beamgate::master {

int64_t RespawnBackoff::next_delay_ms(int64_t lived_ms) {
  if (lived_ms >= kHealthyMs) delay_ms_ = 0;
  const int64_t delay_ms = delay_ms_;
  delay_ms_ = delay_ms_ == 0 ? kDelayFirstMs : std::min(delay_ms_ * 2, kDelayMaxMs);
  return delay_ms;
}

}  // namespace beamgate::master
