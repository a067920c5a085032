// RespawnBackoff: how long to wait before a dead worker of one slot is replaced.
//
// The first replacement comes at once.  A worker that dies young makes the next wait longer, doubling from
// kDelayFirstMs to kDelayMaxMs; one that has lived kHealthyMs makes it forget.
#pragma once

#include <cstdint>

namespace beamgate::master {

class RespawnBackoff {
 public:
  static constexpr int64_t kHealthyMs = 3'000;
  static constexpr int64_t kDelayFirstMs = 50;
  static constexpr int64_t kDelayMaxMs = 10'000;

  // The wait after a worker that has lived for so long.
  int64_t next_delay_ms(int64_t lived_ms);

 private:
  int64_t delay_ms_ = 0;
};

}  // namespace beamgate::master
