#include "worker/net/listener.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

#include "common/base/descriptor_room.h"
#include "common/fault/fault.h"

namespace beamgate::net {
namespace {

sockaddr* address_of(Peer& peer) {
  peer.length = sizeof peer.address;
  return reinterpret_cast<sockaddr*>(&peer.address);
}

}  // namespace

Listener::Listener(uint32_t id, UniqueFd socket, Poller& poller, Connections& connections,
                   metrics::Page& metrics)
    : id_(id), socket_(std::move(socket)), poller_(poller), connections_(connections), metrics_(metrics) {}

Listener::~Listener() { pause(); }

void Listener::start() {
  if (started_ || (short_of_descriptors_ && !has_descriptors())) return;
  short_of_descriptors_ = false;
  started_ = poller_.add(socket_.get(), *this, EPOLLIN).ok();
}

void Listener::pause() {
  if (!started_) return;
  started_ = false;
  poller_.remove(socket_.get(), *this);
}

// A copy's number tells as much as a client's would.
bool Listener::has_descriptors() const {
  const UniqueFd next(fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0));
  return next.valid() && descriptors_above(next.get()) >= descriptors_kept();
}

void Listener::pause_for_descriptors() {
  metrics_.add(metrics::Metric::AcceptPausesDescriptors);
  short_of_descriptors_ = true;
  pause();
}

void Listener::on_ready(uint64_t, uint32_t) {
  const Connections::Accepting accepting(connections_, id_);
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (!connections_.has_room(id_)) {
      metrics_.add(metrics::Metric::AcceptPausesFull);
      return pause();
    }
    Peer peer;
    sockaddr* address = address_of(peer);
    UniqueFd client(accept4(socket_.get(), address, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client.valid()) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) pause_for_descriptors();
      return;  // Otherwise: nothing more to accept, or a client that has gone again.
    }
    fault::point("client-accepted");
    const bool last = descriptors_above(client.get()) < descriptors_kept();
    connections_.adopt(std::move(client), peer, id_);
    if (last) return pause_for_descriptors();
  }
}

void Listener::take(Connections& connections, UniqueFd client, uint32_t listen_id) {
  Peer peer;
  sockaddr* address = address_of(peer);
  if (getpeername(client.get(), address, &peer.length) != 0) return;  // It has gone again.
  const Connections::Accepting accepting(connections, listen_id);
  connections.adopt(std::move(client), peer, listen_id);
}

}  // namespace beamgate::net
