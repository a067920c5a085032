// Watchdog: when a worker's loop counts as stuck, and what is done about it.
//
// The worker stores the time at every tick.  Time in which it is stopped (SIGSTOP, a debugger), or in which its
// keeper did not run either (a frozen container), does not count.
#pragma once

#include <cstdint>
#include <functional>

namespace beamgate::master {

class Watchdog {
 public:
  static constexpr int64_t kKillMs = 2'000;  // From the signal it can handle to the one it can't.
  static constexpr int64_t kGapMs = 1'000;   // Between two looks: the keeper was not running.

  enum class Action : uint8_t { None, Abort, Kill };

  // To be called several times a second; limit_ms 0: off.
  Action look(int64_t now_ms, int64_t heartbeat_ms, int64_t limit_ms,
              const std::function<bool()>& is_stopped);
  void reset() { aborted_ms_ = 0; }  // For the next worker.

 private:
  int64_t looked_ms_ = 0;
  int64_t excused_ms_ = 0;  // Until then it had an excuse.
  int64_t aborted_ms_ = 0;
};

}  // namespace beamgate::master
