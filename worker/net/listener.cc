#include "worker/net/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>

namespace beamgate::net {

Listener::Listener(uint32_t id, UniqueFd socket, Poller& poller, Connections& connections,
                   metrics::Page& metrics)
    : id_(id), socket_(std::move(socket)), poller_(poller), connections_(connections), metrics_(metrics) {}

Listener::~Listener() { pause(); }

void Listener::start() {
  if (started_) return;
  started_ = poller_.add(socket_.get(), *this, EPOLLIN).ok();
}

void Listener::pause() {
  if (!started_) return;
  started_ = false;
  poller_.remove(socket_.get(), *this);
}

void Listener::on_ready(uint64_t, uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (!connections_.has_room()) {
      metrics_.add(metrics::Metric::AcceptPausesFull);
      return pause();
    }
    Peer peer;
    peer.length = sizeof peer.address;
    auto* address = reinterpret_cast<sockaddr*>(&peer.address);
    UniqueFd client(accept4(socket_.get(), address, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client.valid()) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        metrics_.add(metrics::Metric::AcceptPausesDescriptors);
        pause();
      }
      return;  // Otherwise: nothing more to accept, or a client that has gone again.
    }
    if (peer.address.ss_family != AF_UNIX) {
      const int on = 1;
      setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    connections_.adopt(std::move(client), peer, id_);
  }
}

}  // namespace beamgate::net
