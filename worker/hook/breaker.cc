#include "worker/hook/breaker.h"

namespace beamgate::hook {

bool Breaker::admit(int64_t now_ms) {
  switch (state_) {
    case State::Closed:
      return true;
    case State::Open:
      if (now_ms < probe_at_ms_) return false;
      set_state(State::HalfOpen);
      return true;
    case State::HalfOpen:
      return false;
  }
  return false;
}

bool Breaker::on_failure(int64_t now_ms) {
  if (state_ == State::Open || failures_max_ == 0) return false;
  if (state_ == State::Closed && ++failures_ < failures_max_) return false;
  set_state(State::Open);
  probe_at_ms_ = now_ms + cooldown_ms_;
  return true;
}

void Breaker::on_success() {
  failures_ = 0;
  set_state(State::Closed);
}

void Breaker::on_cancelled(int64_t now_ms) {
  if (state_ != State::HalfOpen) return;
  set_state(State::Open);
  probe_at_ms_ = now_ms;
}

void Breaker::configure(uint32_t failures_max, int64_t cooldown_ms) {
  failures_max_ = failures_max;
  cooldown_ms_ = cooldown_ms;
  if (failures_max == 0) on_success();
}

}  // namespace beamgate::hook
