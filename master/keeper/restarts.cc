#include "master/keeper/restarts.h"

#include <algorithm>

namespace beamgate::master {

Restarts::Next Restarts::after_death(int64_t now_ms, bool crashed, bool served) {
  Next next;
  if (served) {
    served_once_ = true;
    unserved_ = 0;
  } else {
    next.verdict = judge_unserved();
  }
  if (!crashed) return next;
  next.delay_ms = delay_after_crash(now_ms);
  if (crashes_.size() > kCrashesMax) {
    crashes_.clear();
    if (next.verdict == Verdict::Adopt) next.verdict = Verdict::Fresh;
  }
  return next;
}

Restarts::Verdict Restarts::judge_unserved() {
  if (!served_once_ || ++unserved_ >= 2 * kUnservedMax) return Verdict::GiveUp;
  return unserved_ == kUnservedMax ? Verdict::Fresh : Verdict::Adopt;
}

int64_t Restarts::delay_after_crash(int64_t now_ms) {
  while (!crashes_.empty() && now_ms - crashes_.front() >= kCrashesMs) crashes_.pop_front();
  crashes_.push_back(now_ms);
  const auto recent = std::count_if(crashes_.begin(), crashes_.end(),
                                    [now_ms](int64_t then_ms) { return now_ms - then_ms < kFreeMs; });
  if (static_cast<size_t>(recent) <= kCrashesFree) return delay_ms_ = 0;
  return delay_ms_ = delay_ms_ == 0 ? kDelayFirstMs : std::min(delay_ms_ * 2, kDelayMaxMs);
}

}  // namespace beamgate::master
