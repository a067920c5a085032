// Timer: calls back once after a delay, or again and again.
//
// Owner, lifetime, thread: see handle.h.  The timer may be started, stopped and destroyed in its callback.
#pragma once

#include <cstdint>
#include <functional>

#include "common/uv/handle.h"
#include "common/uv/loop.h"

namespace beamgate::uv {

class Timer {
 public:
  using Callback = std::function<void()>;

  Timer(Loop& loop, Callback callback);

  // Both begin anew when the timer is running.  Negative delays count as 0.
  void start(int64_t delay_ms);
  void start_repeating(int64_t interval_ms);  // First call after one interval; at least 1 ms.
  void stop();
  bool active() const;

  // An unreferenced handle does not keep Loop::run() going.
  void unref();

 private:
  Handle<uv_timer_t, Callback> handle_;
};

}  // namespace beamgate::uv
