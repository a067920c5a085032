// EventLoop: the master's descriptors and timers, on epoll.
//
// The master has no libuv loop: it forks workers all its life, and a child must inherit no half-used loop,
// thread or pipe of a library.
// Owner      Master; outlives everything that watches on it.
// Lifetime   A callback may remove any watch or timer, its own included, and add others.
// Thread     The master's only thread.
// Errors     watch() fails for a descriptor epoll can't take.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace beamgate::master {

class EventLoop {
 public:
  using WatchId = uint64_t;
  using TimerId = std::pair<int64_t, uint64_t>;  // Deadline and number.

  struct Ready {
    bool readable = false;
    bool writable = false;
  };
  using OnReady = std::function<void(Ready)>;
  using OnTime = std::function<void()>;

  EventLoop();

  // Watches for readable.  The descriptor is borrowed until unwatch().
  Result<WatchId> watch(int descriptor, OnReady on_ready);
  void want_writable(WatchId id, bool writable);
  void unwatch(WatchId id);

  TimerId after(int64_t delay_ms, OnTime on_time);
  void cancel(TimerId id);  // A timer that has fired is no timer any more: ignored.

  // Called at the end of each turn: the place to write what the turn has gathered.
  void set_turn_end(OnTime turn_end) { turn_end_ = std::move(turn_end); }

  void run();  // Until stop().
  void stop() { stopped_ = true; }
  void run_turn(int64_t wait_ms_max);  // One turn; tests drive it.

  size_t alive() const { return watches_.size() + timers_.size(); }

 private:
  struct Watch {
    int descriptor = -1;
    bool writable = false;
    std::shared_ptr<const OnReady> on_ready;  // Shared so that it outlives its own unwatch().
  };

  int wait_ms(int64_t wait_ms_max) const;
  void fire_timers();

  UniqueFd epoll_;
  std::unordered_map<WatchId, Watch> watches_;
  std::map<TimerId, OnTime> timers_;
  OnTime turn_end_;
  uint64_t next_id_ = 1;
  bool stopped_ = false;
};

}  // namespace beamgate::master
