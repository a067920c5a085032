// Poller: the worker's own epoll set for sockets on data paths, nested in the libuv loop.
//
// Owner      One per worker.  Client connections, listeners and upstream legs register here; timers, signals,
//            the bus, DNS and webhooks are ordinary libuv handles.
// Thread     Worker loop thread only.
// Why        One handle of libuv's per client would cost 250 bytes each, and the set, being a descriptor of
//            its own, can outlive the worker with all its registrations.
// Limits     kEventsPerRound events a round, kRoundsPerTurn rounds before libuv gets its turn again.
#pragma once

#include <sys/epoll.h>

#include <cstdint>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace beamgate::net {

class PollTarget {
 public:
  virtual ~PollTarget() = default;
  // events: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP.
  virtual void on_ready(uint64_t token, uint32_t events) = 0;
};

class Poller {
 public:
  static constexpr int kEventsPerRound = 512;
  static constexpr int kRoundsPerTurn = 4;

  static Result<Poller> create();
  // The set of a dead worker, with its clients.
  static Poller inherit(UniqueFd epoll) { return Poller(std::move(epoll)); }

  int fd() const { return epoll_.get(); }  // For the loop to watch.

  // Client connections are the common case and carry no pointer: their token (top bit clear) goes to the
  // client target, which finds out itself whether it is stale.
  void set_client_target(PollTarget& target) { clients_ = &target; }
  Result<void> add_client(int fd, uint64_t token, uint32_t events);
  void modify_client(int fd, uint64_t token, uint32_t events);
  void register_client(int fd, uint64_t token, uint32_t events);  // Whether it is in the set or not.
  void remove_client(int fd);  // Before the descriptor is closed or given away.

  // Any other socket: on_ready(0, events) of `target`.  After remove() it is not called any more, so it may
  // die even while its events of this round are still to come.
  Result<void> add(int fd, PollTarget& target, uint32_t events);
  void modify(int fd, PollTarget& target, uint32_t events);
  void remove(int fd, PollTarget& target);

  // Handles what is ready, without waiting.
  void dispatch();

 private:
  explicit Poller(UniqueFd epoll) : epoll_(std::move(epoll)) {}

  UniqueFd epoll_;
  PollTarget* clients_ = nullptr;
  epoll_event events_[kEventsPerRound]{};
  int events_count_ = 0;
  int events_at_ = 0;
};

}  // namespace beamgate::net
