#include "worker/upstream/peer.h"

#include <algorithm>
#include <iterator>

namespace beamgate::upstream {

int64_t Peer::weight_at(int64_t now_ms) const {
  const int64_t full = int64_t{server_.weight} * kWeightUnit;
  if (recovered_ms_ == 0 || server_.slow_start_ms == 0) return full;
  const int64_t since = now_ms - recovered_ms_;
  if (since >= server_.slow_start_ms) return full;
  return std::max<int64_t>(1, full * std::max<int64_t>(since, 0) / server_.slow_start_ms);
}

void Peer::chosen(int64_t now_ms) {
  ++requests;
  if (has_failed()) aside_until_ms_ = now_ms + server_.fail_timeout_ms;
}

void Peer::failed(int64_t now_ms) {
  ++failures;
  if (server_.max_fails == 0) return;
  // One on trial has its failures still; otherwise those of an earlier window are forgotten.
  if (!has_failed() && now_ms - window_began_ms_ > server_.fail_timeout_ms) {
    window_began_ms_ = now_ms;
    fails_ = 0;
  }
  if (++fails_ >= server_.max_fails) aside_until_ms_ = now_ms + server_.fail_timeout_ms;
}

void Peer::succeeded(int64_t now_ms) {
  if (has_failed()) recovered_ms_ = now_ms;
  // Below max_fails, failures are forgotten with their window, not with the next success.
  if (has_failed() || now_ms - window_began_ms_ > server_.fail_timeout_ms) fails_ = 0;
  aside_until_ms_ = 0;
}

void Peer::set_healthy(bool healthy, int64_t now_ms) {
  if (healthy == healthy_) return;
  healthy_ = healthy;
  if (!healthy) return drop_idle();
  recovered_ms_ = now_ms;
  fails_ = 0;
  aside_until_ms_ = 0;
}

void Peer::keep(std::unique_ptr<Connection> connection) {
  connection->set_user(*this);
  idle_.push_back(std::move(connection));
}

std::unique_ptr<Connection> Peer::take_idle(const BackendProtocol& protocol, const tls::Target& target) {
  const auto found = std::find_if(idle_.rbegin(), idle_.rend(), [&](const std::unique_ptr<Connection>& idle) {
    return idle->protocol == &protocol && idle->speaks(target);
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
