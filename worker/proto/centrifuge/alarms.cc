#include "worker/proto/centrifuge/alarms.h"

#include <algorithm>

#include "common/base/clock.h"

namespace beamgate::proto::centrifuge {

constexpr int64_t kWaitMaxMs = 60'000;  // The clock may be set meanwhile.

Alarms::Alarms(uv::Loop& loop, OnAlarm on_alarm) : on_alarm_(std::move(on_alarm)), timer_(loop, [this] { ring(); }) {}

void Alarms::set(record::ConnId id, int64_t at_ms) {
  const auto known = by_slot_.find(id.slot);
  if (known != by_slot_.end()) {
    if (known->second.id == id && known->second.at_ms <= at_ms) return;
    by_time_.erase({known->second.at_ms, id.slot});
  }
  by_slot_[id.slot] = {id, at_ms};
  by_time_.emplace(at_ms, id.slot);
  if (by_time_.begin()->second == id.slot) schedule();
}

void Alarms::clear(record::ConnId id) {
  const auto known = by_slot_.find(id.slot);
  if (known == by_slot_.end() || !(known->second.id == id)) return;
  by_time_.erase({known->second.at_ms, id.slot});
  by_slot_.erase(known);
}

void Alarms::ring() {
  const int64_t now_ms = wall_ms();
  while (!by_time_.empty() && by_time_.begin()->first <= now_ms) {
    const uint32_t slot = by_time_.begin()->second;
    const record::ConnId id = by_slot_.at(slot).id;
    by_time_.erase(by_time_.begin());
    by_slot_.erase(slot);
    on_alarm_(id);
  }
  schedule();
}

void Alarms::schedule() {
  if (by_time_.empty()) return;
  timer_.start(std::clamp<int64_t>(by_time_.begin()->first - wall_ms(), 0, kWaitMaxMs));
}

}  // namespace beamgate::proto::centrifuge
