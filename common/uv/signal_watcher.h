// SignalWatcher: calls back on the loop when the process gets one signal.
//
// Owner, lifetime, thread: see handle.h.
// Signals of one number that arrive together may be reported once.
#pragma once

#include <functional>

#include "common/uv/handle.h"
#include "common/uv/loop.h"

namespace beamgate::uv {

class SignalWatcher {
 public:
  using Callback = std::function<void()>;

  SignalWatcher(Loop& loop, int signal, Callback callback);

  void stop();
  void unref();  // Does not keep Loop::run() going.

 private:
  Handle<uv_signal_t, Callback> handle_;
};

}  // namespace beamgate::uv
