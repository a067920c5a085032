// PollWatcher: calls back when a descriptor that somebody else owns is ready.
//
// Owner      See handle.h.  The descriptor is borrowed: destroy the watcher first, then close the descriptor
//            (at once, no need to wait for the close callback).
// Thread     The loop's thread.
// Errors     open() fails for descriptors that epoll can't watch (regular files).  While watching, an error
//            of the descriptor is reported as readable and writable: the next system call will tell.
#pragma once

#include <functional>
#include <memory>

#include "common/base/result.h"
#include "common/uv/handle.h"
#include "common/uv/loop.h"

namespace beamgate::uv {

class PollWatcher {
 public:
  struct Ready {
    bool readable = false;
    bool writable = false;
  };
  using Callback = std::function<void(Ready)>;

  // Makes the descriptor non-blocking.  Nothing is watched before watch().
  static Result<std::unique_ptr<PollWatcher>> open(Loop& loop, int descriptor, Callback callback);

  // Says what to wait for; nothing at all stops watching.  Cheap when it says the same as before.
  void watch(bool readable, bool writable);
  void stop() { watch(false, false); }

 private:
  explicit PollWatcher(Callback callback) : handle_(std::move(callback)) {}

  Handle<uv_poll_t, Callback> handle_;
  int events_ = 0;
};

}  // namespace beamgate::uv
