#include "worker/hook/curl_sockets.h"

#include <unistd.h>

namespace beamgate::hook {

CurlSockets::CurlSockets(uv::Loop& loop, OnReady on_ready)
    : loop_(loop), ready_(std::move(on_ready)), before_poll_(loop, [this] { apply(); }) {}

void CurlSockets::own(int descriptor) {
  sockets_[descriptor].owned = true;
  ++owned_;
}

void CurlSockets::close_owned(int descriptor) {
  const auto found = sockets_.find(descriptor);
  if (found != sockets_.end()) {
    if (found->second.owned) --owned_;
    sockets_.erase(found);
  }
  close(descriptor);
}

void CurlSockets::want(int descriptor, bool readable, bool writable) {
  const auto found = sockets_.find(descriptor);
  if (!readable && !writable) {
    if (found == sockets_.end()) return;
    if (!found->second.owned) {
      sockets_.erase(found);
      return;
    }
    found->second.readable = found->second.writable = false;
    return;  // Stays watched: the next call is likely to come soon.
  }
  Socket& socket = found != sockets_.end() ? found->second : sockets_[descriptor];
  socket.readable = readable;
  socket.writable = writable;
  if (socket.dirty) return;
  socket.dirty = true;
  if (dirty_.empty()) before_poll_.start();
  dirty_.push_back(descriptor);
}

void CurlSockets::apply() {
  for (const int descriptor : dirty_) {
    const auto found = sockets_.find(descriptor);
    if (found == sockets_.end() || !found->second.dirty) continue;
    Socket& socket = found->second;
    socket.dirty = false;
    if (!socket.readable && !socket.writable) continue;
    if (socket.watcher == nullptr) {
      auto watcher = uv::PollWatcher::open(
          loop_, descriptor, [this, descriptor](uv::PollWatcher::Ready ready) { on_ready(descriptor, ready); });
      if (!watcher) continue;  // Not a descriptor epoll knows: the call's timeout ends it.
      socket.watcher = std::move(watcher).value();
    }
    socket.watcher->watch(socket.readable, socket.writable);
  }
  dirty_.clear();
  before_poll_.stop();
}

void CurlSockets::on_ready(int descriptor, uv::PollWatcher::Ready ready) {
  const auto found = sockets_.find(descriptor);
  if (found == sockets_.end()) return;
  Socket& socket = found->second;
  if (!socket.readable && !socket.writable) {
    socket.watcher->stop();  // Idle, and the application has closed it: libcurl finds out before it uses it.
    return;
  }
  ready_(descriptor, ready.readable, ready.writable);
}

}  // namespace beamgate::hook
