// Peer: one server of an upstream, as this worker has come to know it.
//
// Owner      The Group of its upstream.  It stays while a request uses it, even when a reload removed it.
// Failing    max_fails failures within fail_timeout put it aside for fail_timeout; then one request tries it,
//            and only its success brings the others back.  A health check that fails takes it out altogether.
// Recovery   From then on its weight grows to the full value within slow_start.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/config/model.h"
#include "worker/upstream/connection.h"

namespace beamgate::upstream {

class Peer final : public ConnectionUser {
 public:
  static constexpr int64_t kWeightUnit = 128;  // weight_at() of weight 1.

  // What somebody keeps about a peer, as long as there is the peer.
  class Companion {
   public:
    virtual ~Companion() = default;
  };

  explicit Peer(const config::UpstreamServer& server) : server_(server) {}
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  const config::UpstreamServer& server() const { return server_; }
  void configure(const config::UpstreamServer& server) { server_ = server; }

  // May be given a request at all: neither down, nor out, nor full.
  bool takes_requests() const {
    return configured && !server_.down && healthy_ && (server_.max_conns == 0 || in_use < server_.max_conns);
  }
  bool is_available(int64_t now_ms) const { return now_ms >= aside_until_ms_; }
  int64_t weight_at(int64_t now_ms) const;

  void chosen(int64_t now_ms);  // One request goes there; a peer on trial is then not available to others.
  void failed(int64_t now_ms);
  void succeeded(int64_t now_ms);
  bool healthy() const { return healthy_; }
  void set_healthy(bool healthy, int64_t now_ms);

  // Idle connections, oldest first.
  void keep(std::unique_ptr<Connection> connection);
  // The one used last that was spoken to so; null: none.
  std::unique_ptr<Connection> take_idle(const BackendProtocol& protocol, const tls::Target& target);
  void drop_oldest_idle();                  // REQUIRES: idle_count() > 0.
  void drop_idle() { idle_.clear(); }
  size_t idle_count() const { return idle_.size(); }
  int64_t oldest_idle_since() const { return idle_.front()->idle_since; }

  // An idle connection has nothing to say: it is closed, or belongs to a backend that broke the protocol.
  void on_connection_ready(Connection& connection, uint32_t events) override;
  void on_connection_deadline(Connection& connection) override;

  int64_t current_weight = 0;  // Of smooth weighted round robin.
  uint32_t in_use = 0;         // Requests on it now.
  uint64_t requests = 0;       // Ever.
  uint64_t failures = 0;
  bool configured = true;      // Still in the upstream's configuration.
  std::unique_ptr<Companion> companion;

 private:
  void drop(Connection& connection);
  bool has_failed() const { return server_.max_fails > 0 && fails_ >= server_.max_fails; }

  config::UpstreamServer server_;
  std::vector<std::unique_ptr<Connection>> idle_;
  uint32_t fails_ = 0;
  int64_t window_began_ms_ = 0;
  int64_t aside_until_ms_ = 0;
  int64_t recovered_ms_ = 0;  // 0: it always was well, as far as is known.
  bool healthy_ = true;
};

}  // namespace beamgate::upstream
