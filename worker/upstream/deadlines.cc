#include "worker/upstream/deadlines.h"

#include "common/base/assert.h"
#include "common/base/clock.h"

namespace beamgate::upstream {

DeadlineTarget::DeadlineTarget(Deadlines& deadlines) : deadlines_(deadlines) { deadlines_.add(*this); }

DeadlineTarget::~DeadlineTarget() { deadlines_.remove(*this); }

Deadlines::Deadlines(uv::Loop& loop) : timer_(loop, [this] { expire(monotonic_ms()); }) { timer_.unref(); }

Deadlines::~Deadlines() { BG_ASSERT(targets_.empty()); }

void Deadlines::add(DeadlineTarget& target) {
  if (targets_.empty()) timer_.start_repeating(kTickMs);
  target.index_ = targets_.size();
  targets_.push_back(&target);
}

void Deadlines::remove(DeadlineTarget& target) {
  BG_ASSERT(targets_[target.index_] == &target);
  targets_[target.index_] = targets_.back();
  targets_[target.index_]->index_ = target.index_;
  targets_.pop_back();
  if (targets_.empty()) timer_.stop();
}

// From the back: a target that goes is replaced by one that was looked at already.
void Deadlines::expire(int64_t now_ms) {
  for (size_t i = targets_.size(); i-- > 0;) {
    if (i >= targets_.size()) continue;
    DeadlineTarget& target = *targets_[i];
    if (target.at_ms_ == 0 || target.at_ms_ > now_ms) continue;
    target.at_ms_ = 0;
    target.on_deadline();
  }
}

}  // namespace beamgate::upstream
