#include "master/event_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <climits>

#include "common/base/assert.h"
#include "common/base/clock.h"

namespace beamgate::master {
namespace {

constexpr int kEventsPerTurn = 64;
constexpr int64_t kForeverMs = INT_MAX;

epoll_event make_event(uint64_t id, bool writable) {
  epoll_event event{};
  event.events = EPOLLIN | (writable ? EPOLLOUT : 0u);
  event.data.u64 = id;
  return event;
}

}  // namespace

EventLoop::EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) { BG_ASSERT(epoll_.valid()); }

Result<EventLoop::WatchId> EventLoop::watch(int descriptor, OnReady on_ready) {
  const WatchId id = next_id_++;
  epoll_event event = make_event(id, false);
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0) {
    return system_error("can't watch a descriptor");
  }
  watches_.emplace(id, Watch{descriptor, false, std::make_shared<const OnReady>(std::move(on_ready))});
  return id;
}

void EventLoop::want_writable(WatchId id, bool writable) {
  const auto found = watches_.find(id);
  if (found == watches_.end() || found->second.writable == writable) return;
  found->second.writable = writable;
  epoll_event event = make_event(id, writable);
  const int status = epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, found->second.descriptor, &event);
  BG_ASSERT(status == 0);
}

void EventLoop::unwatch(WatchId id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  const int status = epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.descriptor, nullptr);
  BG_ASSERT(status == 0);  // Otherwise the descriptor was closed while it was watched.
  watches_.erase(found);
}

EventLoop::TimerId EventLoop::after(int64_t delay_ms, OnTime on_time) {
  const TimerId id{monotonic_ms() + std::max<int64_t>(delay_ms, 0), next_id_++};
  timers_.emplace(id, std::move(on_time));
  return id;
}

void EventLoop::cancel(TimerId id) { timers_.erase(id); }

int EventLoop::wait_ms(int64_t wait_ms_max) const {
  if (!timers_.empty()) wait_ms_max = std::min(wait_ms_max, timers_.begin()->first.first - monotonic_ms());
  if (wait_ms_max >= kForeverMs) return -1;
  return static_cast<int>(std::max<int64_t>(wait_ms_max, 0));
}

void EventLoop::fire_timers() {
  const int64_t now_ms = monotonic_ms();
  while (!timers_.empty() && timers_.begin()->first.first <= now_ms) {
    const OnTime on_time = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    on_time();
  }
}

void EventLoop::run_turn(int64_t wait_ms_max) {
  epoll_event events[kEventsPerTurn];
  const int count = epoll_wait(epoll_.get(), events, kEventsPerTurn, wait_ms(wait_ms_max));
  BG_ASSERT(count >= 0 || errno == EINTR);
  for (int i = 0; i < count; ++i) {
    const WatchId id = events[i].data.u64;  // A copy: the kernel's struct is packed, and find() takes a reference.
    const auto found = watches_.find(id);
    if (found == watches_.end()) continue;  // Removed by a callback of this turn.
    const auto on_ready = found->second.on_ready;
    const uint32_t bits = events[i].events;
    (*on_ready)({(bits & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0, (bits & EPOLLOUT) != 0});
  }
  fire_timers();
  if (turn_end_) turn_end_();
}

void EventLoop::run() {
  stopped_ = false;
  if (turn_end_) turn_end_();  // Of what came before the first turn.
  while (!stopped_) run_turn(kForeverMs);
}

}  // namespace beamgate::master
