#include "master/repair.h"

#include <algorithm>
#include <utility>

#include "common/base/assert.h"
#include "common/base/clock.h"

namespace beamgate::master {
namespace {

uint16_t twin_of(uint16_t slot) { return slot ^ ipc::kTwin; }

}  // namespace

void Repair::lost(uint16_t slot) {
  if (bereft_.contains(slot) || retired_.contains(slot)) return;
  log_.warn("keepers_lost", {{"slot", slot}});
  bereft_.add(slot);
  schedule();
}

void Repair::schedule() {
  if (bereft_.empty() || running() || due_ || pause_timer_) return;
  const int64_t delay_ms = backoff_.next_delay_ms(monotonic_ms() - began_ms_);
  pause_timer_ = loop_.after(delay_ms, [this] {
    pause_timer_.reset();
    due_ = true;
    actions_.repair_due();
  });
}

bool Repair::complete(uint16_t slot) const {
  return actions_.serves(slot) && !bereft_.contains(slot) && !retired_.contains(slot);
}

bool Repair::gives_way(uint16_t slot) const {
  return retired_.contains(slot) || (bereft_.contains(slot) && complete(twin_of(slot)));
}

// A twin that serves already is that of an attempt whose master was killed.
void Repair::begin() {
  BG_ASSERT(due_ && !running());
  due_ = false;
  began_ms_ = monotonic_ms();
  Replacement::Actions& self = *this;
  bereft_.for_each([&](uint16_t slot) {
    const bool has_place = !actions_.lives(twin_of(slot)) || complete(twin_of(slot));
    if (!actions_.serves(slot) || !has_place) return;
    const Replacement::Limits limits{.move_ms = kMoveMs};
    replacements_.push_back(std::make_unique<Replacement>(loop_, log_, moves_, self, slot, limits));
  });
  for (const auto& replacement : replacements_) {
    replacement->begin();
    if (actions_.serves(replacement->twin())) replacement->on_serving(replacement->twin());
  }
}

void Repair::on_serving(uint16_t slot) {
  for (const auto& replacement : replacements_) replacement->on_serving(slot);
  // What was on its way when the twin died goes on to whoever follows that.
  if (retired_.contains(twin_of(slot))) {
    moves_.request({.from = twin_of(slot), .to = slot, .limit_ms = kMoveMs}, [](const MoveEnd&) {});
  }
  if (bereft_.contains(slot)) schedule();
}

void Repair::on_successor(uint16_t slot) {
  for (const auto& replacement : replacements_) replacement->on_successor(slot);
}

void Repair::on_dead(uint16_t slot) {
  for (const auto& replacement : replacements_) replacement->on_dead(slot);
  if (retired_.contains(slot)) actions_.discard_worker(slot);
  retired_.remove(slot);
  bereft_.remove(slot);
  schedule();  // Somebody may have waited for the place.
}

// In the next turn: a Replacement that tells is in the middle of its own step.
void Repair::look() {
  if (look_timer_) return;
  look_timer_ = loop_.after(0, [this] {
    look_timer_.reset();
    settle();
  });
}

void Repair::settle() {
  const auto ended = std::stable_partition(replacements_.begin(), replacements_.end(), [](const auto& each) {
    return !each->moved() && !each->failed();
  });
  for (auto each = ended; each != replacements_.end(); ++each) end(**each);
  replacements_.erase(ended, replacements_.end());
  if (running()) return;
  schedule();  // Those that failed.
  actions_.repair_ended();
}

void Repair::end(Replacement& replacement) {
  if (replacement.failed()) return;
  const uint16_t slot = replacement.slot();
  bereft_.remove(slot);
  if (actions_.serves(slot) && actions_.connections(slot) > 0) {
    retired_.add(slot);
  } else {
    replacement.finish();
  }
  actions_.repaired(slot);
}

void Repair::dismiss_empty() {
  retired_.for_each([this](uint16_t slot) {
    if (actions_.connections(slot) > 0) return;
    retired_.remove(slot);
    actions_.dismiss_worker(slot);
  });
}

void Repair::dismiss_retired() {
  std::exchange(retired_, {}).for_each([this](uint16_t slot) { actions_.dismiss_worker(slot); });
}

void Repair::cancel() {
  for (auto* timer : {&pause_timer_, &look_timer_}) {
    if (*timer) loop_.cancel(**timer);
    timer->reset();
  }
  replacements_.clear();
  bereft_ = retired_ = {};
  due_ = false;
}

}  // namespace beamgate::master
