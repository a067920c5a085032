// Timer wheel: one deadline per connection, threaded through the records themselves.
//
// Owner      Connections.  No allocation, no libuv timer per connection; O(1) to arm and disarm.
// Precision  One tick, kTickMs; a deadline never fires early.
// Ticks      Counted from the clock's zero, so that they mean the same to every process of this machine.
// Method     Hashed wheel (Varghese and Lauck 1987, scheme 6): a bucket holds every deadline of its tick
//            modulo kBuckets; those of a later round are passed over.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/record/record.h"

namespace beamgate::net {

class TimerWheel {
 public:
  static constexpr int64_t kTickMs = 50;
  static constexpr uint32_t kBuckets = 4096;  // 205 s a round.

  TimerWheel(record::Record* records, int64_t now_ms);

  uint32_t tick_at(int64_t monotonic_ms) const;  // Rounded up; at least the next tick.
  int64_t time_of(uint32_t tick) const;          // The reverse.
  uint32_t now_tick() const { return now_tick_; }

  void arm(record::Record& record, uint32_t tick);  // Replaces an armed deadline.
  void disarm(record::Record& record);

  // Advances to now and calls expired(record) for each deadline that has passed, after disarming it.
  // `expired` may arm and disarm any record.
  template <typename Expired>
  void advance(int64_t now_ms, Expired&& expired) {
    const uint32_t target = tick_floor(now_ms);
    while (now_tick_ < target) {
      ++now_tick_;
      while (record::Record* due = take_due()) expired(*due);
    }
  }

 private:
  uint32_t tick_floor(int64_t monotonic_ms) const;
  record::Record* take_due();  // One due record of the current bucket, disarmed; null: none left.

  record::Record* records_;
  uint32_t now_tick_ = 1;        // 0 means "no deadline" in a record.
  std::vector<uint32_t> heads_;  // Slot + 1.
};

}  // namespace beamgate::net
