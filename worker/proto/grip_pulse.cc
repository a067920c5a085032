#include "worker/proto/grip_pulse.h"

#include "common/base/clock.h"

namespace beamgate::proto {

void GripPulse::schedule(record::ConnId id, int64_t in_ms) {
  const int64_t at_ms = monotonic_ms() + in_ms;
  const auto [found, added] = due_.try_emplace(id.slot);
  const bool sooner = !added && at_ms < found->second.at_ms;
  found->second = {id, at_ms};
  // An entry that is too early looks again at its time; one that is too late would be no use.
  if (added || sooner) slots_.emplace(at_ms, id.slot);
  arm();
}

void GripPulse::on_time() {
  const int64_t now_ms = monotonic_ms();
  while (!slots_.empty() && slots_.begin()->first <= now_ms) {
    const uint32_t slot = slots_.begin()->second;
    slots_.erase(slots_.begin());
    const auto found = due_.find(slot);
    if (found == due_.end()) continue;
    if (found->second.at_ms > now_ms) {
      slots_.emplace(found->second.at_ms, slot);
      continue;
    }
    const record::ConnId id = found->second.id;
    due_.erase(found);
    beat_(id);
  }
  arm();
}

void GripPulse::arm() {
  if (!slots_.empty()) timer_.start(slots_.begin()->first - monotonic_ms());
}

}  // namespace beamgate::proto
