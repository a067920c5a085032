// Breaker: stops calling an application that fails, and asks carefully whether it is back.
//
//   Closed   -- failures in a row reach the limit --> Open
//   Open     -- cooldown over, next call ----------> HalfOpen (that call is the probe)
//   HalfOpen -- the probe succeeds ----------------> Closed
//   HalfOpen -- the probe fails -------------------> Open, for another cooldown
//   HalfOpen -- the probe is cancelled ------------> Open, cooldown already over
//
// Owner    One per endpoint, as a value.
// Limits   A limit of 0 never opens it.
#pragma once

#include <cstdint>

namespace beamgate::hook {

class Breaker {
 public:
  enum class State : uint8_t { Closed, Open, HalfOpen };

  Breaker(uint32_t failures_max, int64_t cooldown_ms) : failures_max_(failures_max), cooldown_ms_(cooldown_ms) {}

  // May a call start now?  In Open after the cooldown, yes makes that call the probe.
  bool admit(int64_t now_ms);

  // How a call ended.  Calls that were on their way when it opened count too, but can't prolong it.
  // True: it has just opened.
  bool on_failure(int64_t now_ms);
  void on_success();
  void on_cancelled(int64_t now_ms);

  State state() const { return state_; }
  void configure(uint32_t failures_max, int64_t cooldown_ms);

 private:
  void set_state(State state) { state_ = state; }

  uint32_t failures_max_;
  int64_t cooldown_ms_;
  State state_ = State::Closed;
  uint32_t failures_ = 0;  // In a row.
  int64_t probe_at_ms_ = 0;
};

}  // namespace beamgate::hook
