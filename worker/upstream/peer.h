// Peer: one server of an upstream, as this worker has come to know it.
//
// Owner      The Group of its upstream.  It stays while a request uses it, even when a reload removed it.
// Failing    kFailsMax failures within kFailWindowMs put it aside for kFailWindowMs; then one request tries
//            it, and only its success brings the others back.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/config/model.h"
#include "worker/upstream/connection.h"

namespace beamgate::upstream {

class Peer final : public ConnectionUser {
 public:
  static constexpr uint32_t kFailsMax = 1;
  static constexpr int64_t kFailWindowMs = 10'000;

  explicit Peer(const config::UpstreamServer& server) : server_(server) {}
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  const config::UpstreamServer& server() const { return server_; }
  void configure(const config::UpstreamServer& server) { server_ = server; }

  bool is_available(int64_t now_ms) const { return now_ms >= aside_until_ms_; }
  void chosen(int64_t now_ms);  // One request goes there; a peer on trial is then not available to others.
  void failed(int64_t now_ms);
  void succeeded();

  // Idle connections, oldest first.
  void keep(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> take_idle(const tls::Target& target);  // The one used last; null: none.
  void drop_oldest_idle();                  // REQUIRES: idle_count() > 0.
  void drop_idle() { idle_.clear(); }
  size_t idle_count() const { return idle_.size(); }
  int64_t oldest_idle_since() const { return idle_.front()->idle_since; }

  // An idle connection has nothing to say: it is closed, or belongs to a backend that broke the protocol.
  void on_connection_ready(Connection& connection, uint32_t events) override;
  void on_connection_deadline(Connection& connection) override;

  int64_t current_weight = 0;  // Of smooth weighted round robin.
  uint32_t in_use = 0;         // Requests on it now.
  bool configured = true;      // Still in the upstream's configuration.

 private:
  void drop(Connection& connection);

  config::UpstreamServer server_;
  std::vector<std::unique_ptr<Connection>> idle_;
  uint32_t fails_ = 0;
  int64_t window_began_ms_ = 0;
  int64_t aside_until_ms_ = 0;
};

}  // namespace beamgate::upstream
