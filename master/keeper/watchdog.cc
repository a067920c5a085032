#include "master/keeper/watchdog.h"

#include <algorithm>

namespace beamgate::master {

Watchdog::Action Watchdog::look(int64_t now_ms, int64_t heartbeat_ms, int64_t limit_ms,
                                const std::function<bool()>& is_stopped) {
  if (now_ms - looked_ms_ > kGapMs) excused_ms_ = now_ms;
  looked_ms_ = now_ms;
  if (aborted_ms_ != 0) return now_ms - aborted_ms_ >= kKillMs ? Action::Kill : Action::None;
  if (limit_ms == 0 || now_ms - std::max(heartbeat_ms, excused_ms_) <= limit_ms) return Action::None;
  if (is_stopped()) {
    excused_ms_ = now_ms;
    return Action::None;
  }
  aborted_ms_ = now_ms;
  return Action::Abort;
}

}  // namespace beamgate::master
