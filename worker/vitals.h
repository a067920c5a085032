// Vitals: what a worker tells of itself in its metrics: its memory, its connections, and how late its loop is.
//
// Owner      Worker; told of each tick.
// Thread     Worker loop thread only.
// Cost       A read of /proc/self/statm once a second; nothing per connection or message.
#pragma once

#include <cstdint>

#include "common/metrics/metrics.h"

namespace beamgate {

class Vitals {
 public:
  explicit Vitals(metrics::Page& metrics) : metrics_(metrics) {}

  struct Figures {
    uint64_t connections = 0;
    uint64_t arena_bytes = 0;
    uint64_t bus_queue_bytes = 0;
  };

  // Ticks are meant to be interval_ms apart.
  void tick(int64_t now_us, int64_t interval_ms, const Figures& figures);

 private:
  static constexpr int64_t kWindowUs = 5'000'000;
  static constexpr int64_t kMemoryUs = 1'000'000;

  metrics::Page& metrics_;
  int64_t last_us_ = 0;
  int64_t window_began_us_ = 0;
  int64_t worst_us_ = 0;         // Of this window,
  int64_t worst_before_us_ = 0;  // and of the one before: a scrape rarely meets the very moment.
  int64_t memory_looked_at_us_ = 0;
};

}  // namespace beamgate
