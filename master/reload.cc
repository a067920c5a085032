#include "master/reload.h"

#include "common/base/assert.h"

namespace beamgate::master {

Reload::~Reload() { finish(); }

void Reload::begin(uint32_t generation, const SlotSet& slots) {
  BG_ASSERT(!running());
  state_ = State::Preparing;
  generation_ = generation;
  members_ = {};
  waiting_ = {};
  refusal_.clear();
  deadline_ = loop_.after(kAnswerMs, [this] {
    deadline_.reset();
    give_up("a worker did not answer in time");
  });
  slots.for_each([this](uint16_t slot) { ask(slot); });
  decide();
}

void Reload::ask(uint16_t slot) {
  members_.add(slot);
  waiting_.add(slot);
  actions_.send_prepare(slot);
}

void Reload::add(uint16_t slot) {
  if (running()) ask(slot);
}

void Reload::on_prepared(uint16_t slot, const ipc::Prepared& prepared) {
  if (!running() || prepared.generation != generation_ || !waiting_.contains(slot)) return;
  waiting_.remove(slot);
  if (!prepared.accepted && refusal_.empty()) {
    refusal_ = prepared.reason.empty() ? std::string("refused by a worker") : std::string(prepared.reason);
  }
  decide();
}

void Reload::on_dead(uint16_t slot) {
  if (!running() || !members_.contains(slot)) return;
  const bool had_answered = !waiting_.contains(slot);
  members_.remove(slot);
  waiting_.remove(slot);
  // The configuration may be what killed it: the old one stays.
  if (!had_answered && refusal_.empty()) refusal_ = "a worker died while it prepared";
  decide();
}

void Reload::give_up(const std::string& reason) {
  if (!running()) return;
  if (refusal_.empty()) refusal_ = reason;
  decide();
}

// Acts in the next turn, when nobody is in the middle of a worker's frames.
void Reload::decide() {
  if (decision_ || (refusal_.empty() && !waiting_.empty())) return;
  decision_ = loop_.after(0, [this] {
    decision_.reset();
    if (refusal_.empty() && !waiting_.empty()) return;  // Somebody joined meanwhile.
    finish();
    if (refusal_.empty()) {
      actions_.commit_reload(members_);
    } else {
      actions_.abort_reload(members_, refusal_);
    }
  });
}

void Reload::finish() {
  if (deadline_) loop_.cancel(*deadline_);
  if (decision_) loop_.cancel(*decision_);
  deadline_.reset();
  decision_.reset();
  state_ = State::Idle;
}

}  // namespace beamgate::master
