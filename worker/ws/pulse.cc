#include "worker/ws/pulse.h"

#include <algorithm>

namespace beamgate::ws {

Pulse check_pulse(const config::WebSocketAction& action, int64_t now_ms, int64_t last_received_ms, bool reading,
                  bool always) {
  const int64_t ping_ms = action.ping_interval_ms;
  const int64_t idle_ms = action.idle_timeout_ms;
  Pulse pulse;
  if (ping_ms > 0) {
    const bool due = always || now_ms - last_received_ms >= ping_ms;
    if (due) pulse.due = Pulse::Due::Ping;
    pulse.next_ms = (due ? now_ms : last_received_ms) + ping_ms;
  }
  if (idle_ms > 0) {
    const int64_t heard_ms = reading ? last_received_ms : now_ms;
    if (now_ms - heard_ms >= idle_ms) return Pulse{.due = Pulse::Due::Close};
    const int64_t end_ms = heard_ms + idle_ms;
    pulse.next_ms = pulse.next_ms == 0 ? end_ms : std::min(pulse.next_ms, end_ms);
  }
  return pulse;
}

}  // namespace beamgate::ws
