// Curl sockets: watches libcurl's descriptors on the worker's loop.
//
// Owner      CurlMulti.  libcurl opens and closes its connections through own() and close_owned(), so that a
//            watcher is always gone before its descriptor is.
// Method     A kept-alive connection stays watched between two calls, and what libcurl wants changes several
//            times within a turn: only what differs just before the loop waits costs a system call.
// Thread     Worker loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "common/uv/loop.h"
#include "common/uv/poll_watcher.h"
#include "common/uv/turn.h"

namespace beamgate::hook {

class CurlSockets {
 public:
  using OnReady = std::function<void(int descriptor, bool readable, bool writable)>;

  CurlSockets(uv::Loop& loop, OnReady on_ready);

  void own(int descriptor);          // A connection that libcurl has opened.
  void close_owned(int descriptor);  // Closes it, too.

  // What libcurl waits for.  Nothing: an owned connection is idle, another descriptor (a resolver's) will be
  // closed by libcurl at once.
  void want(int descriptor, bool readable, bool writable);

  size_t owned() const { return owned_; }

 private:
  struct Socket {
    std::unique_ptr<uv::PollWatcher> watcher;
    bool readable = false;
    bool writable = false;
    bool owned = false;
    bool dirty = false;
  };

  void on_ready(int descriptor, uv::PollWatcher::Ready ready);
  void apply();

  uv::Loop& loop_;
  OnReady ready_;
  std::unordered_map<int, Socket> sockets_;
  std::vector<int> dirty_;
  uv::BeforePoll before_poll_;
  size_t owned_ = 0;
};

}  // namespace beamgate::hook
