// GRIP pulse: when backends want to hear of connections on which nothing happens (Keep-Alive-Interval).
//
// Owner      Raw.
// Thread     Worker loop thread only.
// Cost       One entry for each connection whose backend has asked for it; an answer only moves its time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <unordered_map>

#include "common/uv/timer.h"
#include "worker/record/record.h"

namespace beamgate::proto {

class GripPulse {
 public:
  using Beat = std::function<void(record::ConnId)>;

  GripPulse(uv::Loop& loop, Beat beat) : beat_(std::move(beat)), timer_(loop, [this] { on_time(); }) {}

  // beat(id) in so many milliseconds, and not before; whether the connection is still there is for it to find out.
  void schedule(record::ConnId id, int64_t in_ms);

 private:
  struct Due {
    record::ConnId id;
    int64_t at_ms = 0;
  };

  void on_time();
  void arm();

  Beat beat_;
  uv::Timer timer_;
  std::unordered_map<uint32_t, Due> due_;        // By slot.
  std::multimap<int64_t, uint32_t> slots_;       // One entry for each of them, at its time or before.
};

}  // namespace beamgate::proto
