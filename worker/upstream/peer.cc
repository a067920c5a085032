#include "worker/upstream/peer.h"

#include <algorithm>
#include <iterator>

namespace beamgate::upstream {

void Peer::chosen(int64_t now_ms) {
  if (fails_ >= kFailsMax) aside_until_ms_ = now_ms + kFailWindowMs;
}

void Peer::failed(int64_t now_ms) {
  if (now_ms - window_began_ms_ > kFailWindowMs) {
    window_began_ms_ = now_ms;
    fails_ = std::min(fails_, kFailsMax - 1);
  }
  if (++fails_ >= kFailsMax) aside_until_ms_ = now_ms + kFailWindowMs;
}

void Peer::succeeded() {
  fails_ = 0;
  aside_until_ms_ = 0;
}

void Peer::keep(std::unique_ptr<Connection> connection) {
  connection->set_user(*this);
  idle_.push_back(std::move(connection));
}

std::unique_ptr<Connection> Peer::take_idle(const tls::Target& target) {
  const auto found = std::find_if(idle_.rbegin(), idle_.rend(), [&](const std::unique_ptr<Connection>& idle) {
    return idle->speaks(target);
  });
  if (found == idle_.rend()) return nullptr;
  std::unique_ptr<Connection> connection = std::move(*found);
  idle_.erase(std::next(found).base());
  return connection;
}

void Peer::drop_oldest_idle() { idle_.erase(idle_.begin()); }

void Peer::on_connection_ready(Connection& connection, uint32_t) { drop(connection); }

void Peer::on_connection_deadline(Connection& connection) { drop(connection); }

void Peer::drop(Connection& connection) {
  std::erase_if(idle_, [&](const std::unique_ptr<Connection>& idle) { return idle.get() == &connection; });
}

}  // namespace beamgate::upstream
