// Pulse: when an open connection is pinged, and when it is given up, from one deadline.
//
// Messages don't touch the timer: when the deadline passes, what has been received meanwhile tells whether
// anything is due, and when to look again.
#pragma once

#include <cstdint>

#include "common/config/model.h"

namespace beamgate::ws {

struct Pulse {
  enum class Due : uint8_t { Nothing, Ping, Close };

  Due due = Due::Nothing;
  int64_t next_ms = 0;  // Monotonic; 0: never look again.
};

// reading: false while we don't read the connection, whose silence then means nothing.
// always: it is pinged whenever this is asked, silent or not.
Pulse check_pulse(const config::WebSocketAction& action, int64_t now_ms, int64_t last_received_ms, bool reading,
                  bool always = false);

}  // namespace beamgate::ws
