#include "worker/net/timer_wheel.h"

namespace beamgate::net {

TimerWheel::TimerWheel(record::Record* records, int64_t now_ms)
    : records_(records), now_tick_(tick_floor(now_ms)), heads_(kBuckets, 0) {}

uint32_t TimerWheel::tick_floor(int64_t monotonic_ms) const {
  return static_cast<uint32_t>(monotonic_ms / kTickMs) + 1;
}

uint32_t TimerWheel::tick_at(int64_t monotonic_ms) const {
  const uint32_t tick = tick_floor(monotonic_ms + kTickMs - 1);
  return tick > now_tick_ ? tick : now_tick_ + 1;
}

int64_t TimerWheel::time_of(uint32_t tick) const { return (int64_t{tick} - 1) * kTickMs; }

void TimerWheel::arm(record::Record& record, uint32_t tick) {
  disarm(record);
  const auto self = static_cast<uint32_t>(&record - records_) + 1;
  uint32_t& head = heads_[tick % kBuckets];
  record.deadline_tick = tick;
  record.timer_previous = 0;
  record.timer_next = head;
  if (head != 0) records_[head - 1].timer_previous = self;
  head = self;
}

void TimerWheel::disarm(record::Record& record) {
  if (record.deadline_tick == 0) return;
  if (record.timer_previous != 0) {
    records_[record.timer_previous - 1].timer_next = record.timer_next;
  } else {
    heads_[record.deadline_tick % kBuckets] = record.timer_next;
  }
  if (record.timer_next != 0) records_[record.timer_next - 1].timer_previous = record.timer_previous;
  record.deadline_tick = record.timer_next = record.timer_previous = 0;
}

record::Record* TimerWheel::take_due() {
  uint32_t at = heads_[now_tick_ % kBuckets];
  while (at != 0) {
    record::Record& record = records_[at - 1];
    if (record.deadline_tick <= now_tick_) {
      disarm(record);
      return &record;
    }
    at = record.timer_next;
  }
  return nullptr;
}

}  // namespace beamgate::net
