#include "master/takeover.h"

#include <algorithm>
#include <utility>

#include "common/base/assert.h"

namespace beamgate::master {

void Takeover::begin(const SlotSet& slots, const Replacement::Limits& limits) {
  BG_ASSERT(!running());
  state_ = State::Replacing;
  reason_.clear();
  Replacement::Actions& self = *this;
  slots.for_each([&](uint16_t slot) {
    replacements_.push_back(std::make_unique<Replacement>(loop_, log_, moves_, self, slot, limits));
  });
  for (const auto& replacement : replacements_) replacement->begin();
}

void Takeover::on_serving(uint16_t slot) {
  for (const auto& replacement : replacements_) replacement->on_serving(slot);
}

void Takeover::on_dead(uint16_t slot) {
  for (const auto& replacement : replacements_) replacement->on_dead(slot);
  if (state_ == State::Finishing) look();
}

void Takeover::on_successor(uint16_t slot) {
  for (const auto& replacement : replacements_) replacement->on_successor(slot);
}

void Takeover::on_moved(uint16_t) { look(); }

void Takeover::on_failed(uint16_t, const std::string& reason) {
  if (reason_.empty()) reason_ = reason;
  look();
}

// In the next turn: a Replacement that tells is in the middle of its own step.
void Takeover::look() {
  if (timer_) return;
  timer_ = loop_.after(0, [this] {
    timer_.reset();
    step();
  });
}

// Nothing is on its way.
bool Takeover::settled() const {
  return std::all_of(replacements_.begin(), replacements_.end(),
                     [](const auto& replacement) { return replacement->moved() || replacement->failed(); });
}

void Takeover::step() {
  if (state_ == State::Replacing && !reason_.empty()) {
    state_ = State::Undoing;
    for (const auto& replacement : replacements_) replacement->undo("another worker could not be replaced");
  }
  if (state_ == State::Replacing && settled()) {
    state_ = State::Finishing;
    for (const auto& replacement : replacements_) replacement->finish();
  }
  if (state_ == State::Undoing && settled()) {
    cancel();
    return actions_.give_back(reason_);
  }
  if (state_ != State::Finishing) return;
  for (const auto& replacement : replacements_) {
    if (actions_.lives(replacement->slot())) return;
  }
  cancel();
  actions_.taken_over();
}

void Takeover::cancel() {
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
  replacements_.clear();
  state_ = State::Idle;
}

}  // namespace beamgate::master
