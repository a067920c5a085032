// Alarms: when a connection is to be looked at: it hasn't said "connect", or something of it expires.
//
// Owner      Centrifuge.
// Thread     Worker loop thread only.
// Limits     One alarm per connection, the nearest; whoever looks sets the next one.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <unordered_map>
#include <utility>

#include "common/uv/timer.h"
#include "worker/record/record.h"

namespace beamgate::proto::centrifuge {

class Alarms {
 public:
  using OnAlarm = std::function<void(record::ConnId)>;

  Alarms(uv::Loop& loop, OnAlarm on_alarm);

  // Unix time; the earlier one counts when there is one already.
  void set(record::ConnId id, int64_t at_ms);
  void clear(record::ConnId id);
  size_t size() const { return by_time_.size(); }

 private:
  struct Alarm {
    record::ConnId id;
    int64_t at_ms = 0;
  };

  void ring();
  void schedule();

  OnAlarm on_alarm_;
  std::set<std::pair<int64_t, uint32_t>> by_time_;  // With the slot.
  std::unordered_map<uint32_t, Alarm> by_slot_;
  uv::Timer timer_;
};

}  // namespace beamgate::proto::centrifuge
