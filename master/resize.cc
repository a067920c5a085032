#include "master/resize.h"

#include <algorithm>
#include <utility>

#include "common/base/assert.h"
#include "common/base/clock.h"

namespace beamgate::master {

void Resize::begin(const SlotSet& staying, const SlotSet& leaving) {
  BG_ASSERT(!running() && !staying.empty());
  state_ = State::Settling;
  staying_ = staying;
  leaving_ = leaving;
  departures_failed_ = balances_ = 0;
  pending_ = 0;
  failed_ = false;
  const int64_t now_ms = monotonic_ms();
  leave_ms_ = leaving.empty() ? now_ms : now_ms + kLeaveMs;
  settled_ms_ = now_ms + kSettleMs;
  settle();
}

void Resize::set_timer(int64_t delay_ms, EventLoop::OnTime on_time) {
  if (timer_) loop_.cancel(*timer_);
  timer_ = loop_.after(delay_ms, [this, on_time = std::move(on_time)] {
    timer_.reset();
    on_time();
  });
}

void Resize::settle() {
  const int64_t now_ms = monotonic_ms();
  bool all_serve = true;
  staying_.for_each([&](uint16_t slot) { all_serve = all_serve && actions_.serves(slot); });
  int64_t wait_ms = leave_ms_ - now_ms;
  if (!all_serve) wait_ms = std::max(wait_ms, settled_ms_ - now_ms);
  if (wait_ms > 0) return set_timer(wait_ms, [this] { settle(); });
  state_ = State::Moving;
  give_up_ms_ = now_ms + kGiveUpMs;
  set_timer(0, [this] { next_round(); });
}

std::vector<Load> Resize::loads() const {
  std::vector<Load> out;
  staying_.for_each([&](uint16_t slot) {
    if (actions_.serves(slot)) out.push_back({slot, actions_.connections(slot)});
  });
  return out;
}

// First the leaving give what they have, then the others become even.
void Resize::next_round() {
  const bool goes_on = departures_failed_ < kAttemptsMax && monotonic_ms() < give_up_ms_;
  if (!leaving_.empty() && goes_on) {
    move_all();
    if (pending_ == 0) set_timer(kRetryMs, [this] { next_round(); });  // Until there is somebody to take, and to give.
    return;
  }
  leaving_.for_each([this](uint16_t slot) { actions_.dismiss(slot); });
  leaving_ = {};
  if (balances_++ < kAttemptsMax) balance();
  if (pending_ > 0) return;
  state_ = State::Idle;
  actions_.resized();
}

void Resize::move_all() {
  std::vector<Load> staying = loads();
  if (staying.empty()) return;
  leaving_.for_each([&](uint16_t slot) {
    if (!actions_.serves(slot)) return;  // Its successor will.
    const auto shares = plan_departure({slot, actions_.connections(slot)}, staying);
    // The last one takes what is there, be it none: it may be more than was counted.
    for (size_t i = 0; i + 1 < shares.size(); ++i) send(shares[i], ipc::MoveScope::Some);
    send(shares.empty() ? Share{slot, staying[0].slot, 0} : shares.back(), ipc::MoveScope::All);
  });
}

void Resize::balance() {
  for (const Share& share : plan_balance(loads())) send(share, ipc::MoveScope::Some);
}

void Resize::send(const Share& share, ipc::MoveScope scope) {
  ++pending_;
  const int64_t limit_ms = move_limit_ms_;
  moves_.request({share.from, share.to, scope, scope == ipc::MoveScope::Some ? share.count : 0, limit_ms},
                 [this, share, scope](const MoveEnd& end) { on_end(share, scope, end); });
}

void Resize::on_end(const Share& share, ipc::MoveScope scope, const MoveEnd& end) {
  if (state_ != State::Moving) return;
  failed_ = failed_ || !end.ok;
  if (scope == ipc::MoveScope::All && end.ok && leaving_.contains(share.from)) {
    leaving_.remove(share.from);
    actions_.dismiss(share.from);
  }
  if (--pending_ > 0) return;
  if (!std::exchange(failed_, false) || leaving_.empty()) return next_round();
  ++departures_failed_;
  set_timer(kRetryMs, [this] { next_round(); });
}

// A round that a death has ended is none of those that count.
void Resize::on_successor() {
  if (departures_failed_ > 0) --departures_failed_;
}

// What it had is lost; nobody takes its place.
void Resize::on_dead(uint16_t slot) {
  if (!running() || !leaving_.contains(slot)) return;
  leaving_.remove(slot);
  actions_.dismiss(slot);
}

void Resize::cancel() {
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
  state_ = State::Idle;
}

}  // namespace beamgate::master
