#include "master/replacement.h"

#include <utility>

#include "common/base/assert.h"

namespace beamgate::master {

Replacement::Replacement(EventLoop& loop, log::Log& log, Moves& moves, Actions& actions, uint16_t slot,
                         const Limits& limits)
    : loop_(loop), log_(log), moves_(moves), actions_(actions), slot_(slot), limits_(limits) {}

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
  if (limits_.trial_ms > 0) return begin_trial();
  move();
}

void Replacement::begin_trial() {
  state_ = State::Trying;
  faults_before_ = actions_.faults(twin());
  moves_.request({slot_, twin(), ipc::MoveScope::Some, kTrialConnections, limits_.move_ms},
                 [this](const MoveEnd& end) { on_trial_move_end(end); });
}

void Replacement::on_trial_move_end(const MoveEnd& end) {
  if (state_ != State::Trying) return;
  if (!end.ok) return fail_trial(end.reason.empty() ? "the connections could not be moved" : end.reason);
  if (undone_) return move_back();
  if (end.moved == 0) return move();  // Nobody is there to try it with.
  log_.info("replacement_on_trial", {{"slot", slot_}, {"connections", end.moved}});
  set_timer(limits_.trial_ms, [this, tried = end.moved] { end_trial(tried); });
}

void Replacement::end_trial(uint32_t tried) {
  const uint64_t faults = actions_.faults(twin()) - faults_before_;
  if (faults * kTrialFaultsShare > tried) {
    log_.error("replacement_trial_failed", {{"slot", slot_}, {"connections", tried}, {"faults", faults}});
    return fail_trial("the new worker closed connections for what it read there");
  }
  move();
}

void Replacement::fail_trial(const std::string& reason) {
  clear_timer();
  if (reason_.empty()) reason_ = reason;
  move_back();
}

void Replacement::move() {
  state_ = State::Moving;
  moves_.request({slot_, twin(), ipc::MoveScope::All, 0, limits_.move_ms},
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
  if (state_ != State::Trying) return;
  undone_ = true;
  if (timer_) fail_trial(reason);  // Its connections have moved.
}

void Replacement::move_back() {
  state_ = State::Returning;
  moves_.request({twin(), slot_, ipc::MoveScope::All, 0, limits_.move_ms}, [this](const MoveEnd& end) {
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
  if (state_ != State::Trying && state_ != State::Moving && state_ != State::Returning) return;
  state_ = State::Moving;
  set_timer(0, [this] { reach_moved(); });
}

void Replacement::on_successor(uint16_t slot) {
  if (slot == slot_ && moved() && !old_died_) move();
  // The end of a move that was under way comes by itself.
  if (slot == twin() && state_ == State::Trying && timer_) fail_trial("the new worker died on trial");
}

void Replacement::on_twin_dead() {
  if (reason_.empty()) reason_ = state_ == State::Starting ? "the new worker died before it was ready" : "the new worker died";
  remove(false);
}

}  // namespace beamgate::master
