#include "worker/net/poller.h"

namespace beamgate::net {
namespace {

// Set in the tokens of other targets; user-space addresses never have it.
constexpr uint64_t kTargetBit = uint64_t{1} << 63;

uint64_t token_of(PollTarget& target) { return reinterpret_cast<uint64_t>(&target) | kTargetBit; }

Result<void> control(int epoll, int operation, int fd, uint64_t token, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  if (epoll_ctl(epoll, operation, fd, &event) != 0) return system_error("epoll_ctl failed");
  return {};
}

}  // namespace

Result<Poller> Poller::create() {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return system_error("can't create an epoll set");
  return Poller(std::move(epoll));
}

Result<void> Poller::add_client(int fd, uint64_t token, uint32_t events) {
  return control(epoll_.get(), EPOLL_CTL_ADD, fd, token, events);
}

void Poller::modify_client(int fd, uint64_t token, uint32_t events) {
  const Result<void> done = control(epoll_.get(), EPOLL_CTL_MOD, fd, token, events);
  BG_ASSERT(done.ok());
}

void Poller::register_client(int fd, uint64_t token, uint32_t events) {
  if (control(epoll_.get(), EPOLL_CTL_MOD, fd, token, events).ok()) return;
  const Result<void> done = control(epoll_.get(), EPOLL_CTL_ADD, fd, token, events);
  BG_ASSERT(done.ok());
}

void Poller::remove_client(int fd) {
  const Result<void> done = control(epoll_.get(), EPOLL_CTL_DEL, fd, 0, 0);
  BG_ASSERT(done.ok() || done.error().sys_errno == ENOENT);  // A step that took it out may have been taken back.
}

Result<void> Poller::add(int fd, PollTarget& target, uint32_t events) {
  // In an inherited set it may stand with the token of a dead process.
  const Result<void> added = control(epoll_.get(), EPOLL_CTL_ADD, fd, token_of(target), events);
  if (added.ok() || added.error().sys_errno != EEXIST) return added;
  return control(epoll_.get(), EPOLL_CTL_MOD, fd, token_of(target), events);
}

void Poller::modify(int fd, PollTarget& target, uint32_t events) {
  const Result<void> done = control(epoll_.get(), EPOLL_CTL_MOD, fd, token_of(target), events);
  BG_ASSERT(done.ok());
}

void Poller::remove(int fd, PollTarget& target) {
  remove_client(fd);
  const uint64_t token = token_of(target);
  for (int i = events_at_; i < events_count_; ++i) {
    if (events_[i].data.u64 == token) events_[i].events = 0;
  }
}

void Poller::dispatch() {
  for (int round = 0; round < kRoundsPerTurn; ++round) {
    events_count_ = epoll_wait(epoll_.get(), events_, kEventsPerRound, 0);
    if (events_count_ <= 0) return;
    for (events_at_ = 0; events_at_ < events_count_;) {
      const epoll_event event = events_[events_at_++];
      if (event.events == 0) continue;  // Removed meanwhile.
      if (event.data.u64 & kTargetBit) {
        reinterpret_cast<PollTarget*>(event.data.u64 & ~kTargetBit)->on_ready(0, event.events);
      } else {
        clients_->on_ready(event.data.u64, event.events);
      }
    }
    if (events_count_ < kEventsPerRound) return;
  }
}

}  // namespace beamgate::net
