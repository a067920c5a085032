#include "master/replacement.h"

#include <utility>

#include "common/base/assert.h"

namespace beamgate::master {

Replacement::Replacement(EventLoop& loop, log::Log& log, Moves& moves, Actions& actions, uint16_t slot,
                         int64_t move_limit_ms)
    : loop_(loop), log_(log), moves_(moves), actions_(actions), slot_(slot), move_limit_ms_(move_limit_ms) {}

Replacement::~Replacement() { clear_timer(); }

void Replacement::set_timer(int64_t delay_ms, EventLoop::OnTime on_time) {
  clear_timer();
  timer_ = loop_.after(delay_ms, [this, on_time = std::move(on_time)] {
    timer_.reset();
    on_time();
  });
}

void Replacement::clear_timer() {
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
}

void Replacement::begin() {
  BG_ASSERT(state_ == State::Idle);
  state_ = State::Starting;
  set_timer(kReadyMs, [this] { undo("the new worker was not ready in time"); });
  actions_.start_worker(twin());
}

void Replacement::on_serving(uint16_t slot) {
  if (slot != twin() || state_ != State::Starting) return;
  clear_timer();
  if (old_died_) return reach_moved();
  move();
}

void Replacement::move() {
  state_ = State::Moving;
  moves_.request({slot_, twin(), ipc::MoveScope::All, 0, move_limit_ms_},
                 [this](const MoveEnd& end) { on_move_end(end); });
}

void Replacement::on_move_end(const MoveEnd& end) {
  if (state_ != State::Moving || old_died_) return;  // Somebody died, and that was acted upon.
  if (!end.ok && reason_.empty()) reason_ = end.reason.empty() ? "the connections could not be moved" : end.reason;
  if (!end.ok || undone_) return move_back();
  if (end.left > 0) log_.warn("replacement_leaves_connections", {{"slot", slot_}, {"left", end.left}});
  reach_moved();
}

void Replacement::reach_moved() {
  clear_timer();
  state_ = State::Moved;
  actions_.on_moved(slot_);
}

void Replacement::finish() {
  BG_ASSERT(moved());
  state_ = State::Idle;
  actions_.dismiss_worker(slot_);
}

void Replacement::undo(const std::string& reason) {
  if (old_died_ && state_ != State::Starting) return;
  if (reason_.empty()) reason_ = reason;
  if (state_ == State::Starting) return remove(false);
  if (state_ == State::Moved) return move_back();
  if (state_ == State::Moving) undone_ = true;
}

void Replacement::move_back() {
  state_ = State::Returning;
  moves_.request({twin(), slot_, ipc::MoveScope::All, 0, move_limit_ms_}, [this](const MoveEnd& end) {
    if (state_ != State::Returning) return;
    // A worker that died, perhaps before this was asked for, has a successor with the same connections.
    if (!end.ok && ++returns_failed_ < kReturnsMax && actions_.lives(twin())) return move_back();
    if (!end.ok) log_.error("replacement_not_undone", {{"slot", slot_}, {"reason", end.reason}});
    remove(!end.ok || end.left > 0);
  });
}

// graceful: for clients that could not come back.
void Replacement::remove(bool graceful) {
  clear_timer();
  state_ = State::Removing;
  const bool lives = actions_.lives(twin());
  if (graceful) {
    actions_.dismiss_worker(twin());
  } else {
    actions_.discard_worker(twin());
  }
  if (!lives) set_timer(0, [this] { fail(); });
}

void Replacement::fail() {
  clear_timer();
  state_ = State::Failed;
  log_.error("replacement_failed", {{"slot", slot_}, {"reason", reason_}});
  actions_.on_failed(slot_, reason_);
}

void Replacement::on_dead(uint16_t slot) {
  if (state_ == State::Idle || state_ == State::Failed) return;
  if (slot == twin()) return on_twin_dead();
  if (slot != slot_ || state_ == State::Removing) return;
  old_died_ = true;
  actions_.discard_worker(slot_);
  if (state_ != State::Moving && state_ != State::Returning) return;
  state_ = State::Moving;
  set_timer(0, [this] { reach_moved(); });
}

void Replacement::on_successor(uint16_t slot) {
  if (slot == slot_ && moved() && !old_died_) move();
}

void Replacement::on_twin_dead() {
  if (reason_.empty()) reason_ = state_ == State::Starting ? "the new worker died before it was ready" : "the new worker died";
  remove(false);
}

}  // namespace beamgate::master
