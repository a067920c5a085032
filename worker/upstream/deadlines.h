// Deadlines: when each upstream connection gives up waiting, watched by one timer.
//
// Owner      ProxyHandler; it outlives every target.
// Thread     Worker loop thread only.
// Precision  Up to kTickMs late, never early.  Setting a deadline is one store; the timer runs only while
//            there is a connection at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/uv/loop.h"
#include "common/uv/timer.h"

namespace beamgate::upstream {

class Deadlines;

class DeadlineTarget {
 public:
  explicit DeadlineTarget(Deadlines& deadlines);
  DeadlineTarget(const DeadlineTarget&) = delete;
  DeadlineTarget& operator=(const DeadlineTarget&) = delete;

  // Absolute monotonic milliseconds; 0: none.
  void set_deadline(int64_t at_ms) { at_ms_ = at_ms; }

 protected:
  virtual ~DeadlineTarget();
  virtual void on_deadline() = 0;  // Once for each deadline; may destroy the target.

 private:
  friend class Deadlines;

  Deadlines& deadlines_;
  size_t index_ = 0;
  int64_t at_ms_ = 0;
};

class Deadlines {
 public:
  static constexpr int64_t kTickMs = 100;

  explicit Deadlines(uv::Loop& loop);
  ~Deadlines();

  void expire(int64_t now_ms);

 private:
  friend class DeadlineTarget;

  void add(DeadlineTarget& target);
  void remove(DeadlineTarget& target);

  uv::Timer timer_;
  std::vector<DeadlineTarget*> targets_;
};

}  // namespace beamgate::upstream
