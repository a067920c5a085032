#include "common/uv/timer.h"

#include <algorithm>

namespace beamgate::uv {
namespace {

using TimerHandle = Handle<uv_timer_t, Timer::Callback>;

void on_timer(uv_timer_t* timer) noexcept { TimerHandle::body_of(timer).callback(); }

}  // namespace

Timer::Timer(Loop& loop, Callback callback) : handle_(std::move(callback)) {
  uv_timer_init(loop.raw(), handle_.get());
  handle_.opened();
}

void Timer::start(int64_t delay_ms) {
  // libuv counts from its cached time, which is old when a turn was long.
  uv_update_time(handle_.get()->loop);
  uv_timer_start(handle_.get(), on_timer, static_cast<uint64_t>(std::max<int64_t>(delay_ms, 0)), 0);
}

void Timer::start_repeating(int64_t interval_ms) {
  const auto interval = static_cast<uint64_t>(std::max<int64_t>(interval_ms, 1));
  uv_update_time(handle_.get()->loop);
  uv_timer_start(handle_.get(), on_timer, interval, interval);
}

void Timer::stop() { uv_timer_stop(handle_.get()); }

bool Timer::active() const { return uv_is_active(handle_.base()) != 0; }

void Timer::unref() { uv_unref(handle_.base()); }

}  // namespace beamgate::uv
