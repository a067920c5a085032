// Loop: one libuv event loop.
//
// Owner      A process has one and owns it longer than every handle on it.
// Lifetime   The destructor runs the outstanding close callbacks and then asserts that nothing is alive:
//            a forgotten handle is a bug that shows at once.
// Thread     The thread that runs it.
#pragma once

#include <uv.h>

#include <cstdint>

namespace beamgate::uv {

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop() or until nothing is active any more.
  void run();
  // Handles what is ready and returns; true while something is still active.
  bool run_once(bool wait);
  void stop();

  int64_t now_ms() const { return static_cast<int64_t>(uv_now(&loop_)); }
  uv_loop_t* raw() { return &loop_; }

 private:
  uv_loop_t loop_;
};

}  // namespace beamgate::uv
