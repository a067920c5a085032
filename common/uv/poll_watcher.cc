#include "common/uv/poll_watcher.h"

namespace beamgate::uv {
namespace {

using PollHandle = Handle<uv_poll_t, PollWatcher::Callback>;

void on_ready(uv_poll_t* handle, int status, int events) noexcept {
  PollWatcher::Ready ready{(events & UV_READABLE) != 0, (events & UV_WRITABLE) != 0};
  if (status < 0) ready = {true, true};
  PollHandle::body_of(handle).callback(ready);
}

}  // namespace

Result<std::unique_ptr<PollWatcher>> PollWatcher::open(Loop& loop, int descriptor, Callback callback) {
  std::unique_ptr<PollWatcher> watcher(new PollWatcher(std::move(callback)));
  const int status = uv_poll_init(loop.raw(), watcher->handle_.get(), descriptor);
  if (status < 0) return Error{Code::System, -status, "can't watch the descriptor"};
  watcher->handle_.opened();
  return watcher;
}

void PollWatcher::watch(bool readable, bool writable) {
  const int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
  if (events == events_) return;
  events_ = events;
  if (events == 0) {
    uv_poll_stop(handle_.get());
    return;
  }
  const int status = uv_poll_start(handle_.get(), events, on_ready);
  BG_ASSERT(status == 0);
}

}  // namespace beamgate::uv
