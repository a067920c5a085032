#include "common/uv/signal_watcher.h"

namespace beamgate::uv {
namespace {

using SignalHandle = Handle<uv_signal_t, SignalWatcher::Callback>;

void on_signal(uv_signal_t* handle, int) noexcept { SignalHandle::body_of(handle).callback(); }

}  // namespace

SignalWatcher::SignalWatcher(Loop& loop, int signal, Callback callback) : handle_(std::move(callback)) {
  uv_signal_init(loop.raw(), handle_.get());
  handle_.opened();
  const int status = uv_signal_start(handle_.get(), on_signal, signal);
  BG_ASSERT(status == 0);  // The callers name valid signals.
}

void SignalWatcher::stop() { uv_signal_stop(handle_.get()); }

void SignalWatcher::unref() { uv_unref(handle_.base()); }

}  // namespace beamgate::uv
