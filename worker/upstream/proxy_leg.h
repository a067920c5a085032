// Proxy leg: the backend's side of one proxied exchange.
//
//   collecting  a body that fits into the buffer is read first: a slow client holds no backend connection
//   connecting  to one server after the other, while nothing has been sent
//   open        request and response stream, each with its own back-pressure
//   tunnel      the backend has agreed to a WebSocket: bytes go both ways as they are, until either side ends
//   over        the exchange has been answered, cut or has gone
//
// Owner      ProxyLegs.  The exchange's attachment tells it when the exchange ends; it then goes as soon as
//            none of its functions is running.
// Thread     Worker loop thread only.
// Limits     BackendAction::buffer_bytes of request body, or a file of it, and one read of response beyond what
//            the client's queue takes.  Timeouts: 504; every other failure: 502, or a cut once the response has
//            begun.
// Repeats    Only while the client has nothing of a response and the request is held completely, as Attempts
//            says.  Once on a fresh connection when a reused one was dead, and once on each other server.
// Tunnel     It ends with its worker, as any exchange in flight.  The client's FIN is passed on when all before
//            it is; the backend's ends both sides.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "common/config/model.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "worker/http/exchange.h"
#include "worker/net/poller.h"
#include "worker/upstream/attempts.h"
#include "worker/upstream/backend_protocol.h"
#include "worker/upstream/connection.h"
#include "worker/upstream/deadlines.h"
#include "worker/upstream/pool.h"
#include "worker/upstream/request_buffer.h"

namespace beamgate::upstream {

class ProxyLegs;

// What all legs share.
struct ProxyParts {
  net::Poller& poller;
  Deadlines& deadlines;
  Pool& pool;
  http::Exchanges& exchanges;
  ProxyLegs& legs;
  log::Log& log;
  metrics::Page& metrics;
  std::span<char> landing;  // Every response byte is read here first.
};

class ProxyLeg final : public ConnectionUser {
 public:
  ProxyLeg(const ProxyParts& parts, const BackendProtocol& protocol, http::Exchange& exchange);
  ProxyLeg(const ProxyLeg&) = delete;
  ProxyLeg& operator=(const ProxyLeg&) = delete;

  // False: the request can't be forwarded; nothing has happened.
  bool write_head(http::Exchange& exchange);
  void start();

  // From the attachment.
  size_t on_body(std::string_view bytes);
  void on_body_end();
  std::optional<std::string_view> body_so_far() const { return out_.body(); }
  void on_client_writable();
  bool outlives_client() const { return settings_.ignore_client_abort || over_; }
  void detach();

  void on_connection_ready(Connection& connection, uint32_t events) override;
  void on_connection_deadline(Connection& connection) override;

 private:
  friend class ProxyLegs;
  class Entry;

  // How an attempt has failed.
  struct Failed {
    metrics::Metric why;     // What it is counted as.
    uint32_t reason = 0;     // A config::NextUpstream.
    uint16_t status = 502;   // For the client, unless another server has an answer.
    bool untouched = false;  // The server has said that it has done nothing.
  };

  http::Exchange* exchange();  // Null once it is over.
  bool is_over() const { return detached_ || over_; }

  void connect();
  void take_peer(Peer& peer, int64_t now_ms);
  bool take_idle();
  bool open_fresh();
  void use(std::unique_ptr<Connection> connection, bool reused);
  void begin_attempt(const std::string& server, int64_t now_ms, uint16_t status);
  void trace_progress();
  void note_head(http::Exchange& client);
  void count_failure(metrics::Metric why, const Error& error);
  void release_peer(int64_t now_ms);

  bool finish_head();
  void send_request();
  void body_lost(const Error& error);
  void resume_body();
  void discard_body();

  void read_response();
  void deliver(http::ResponseReader::State state, std::string_view body);
  void pass_interims();
  void log_errors();
  bool pass_to_another();
  bool intercepts(http::Exchange& client) const;
  void begin_response(http::Exchange& exchange, size_t whole_body_bytes);
  void complete_response();
  void connection_lost(const Error& error);
  void response_invalid();
  void attempt_failed(const Failed& failed, const Error& error);
  void give_up(uint16_t status);
  void fail(uint16_t status);

  void begin_tunnel(http::Exchange& exchange, std::string_view first);
  size_t send_in_tunnel(std::string_view bytes);
  void read_in_tunnel();
  void end_tunnel();

  void made_progress();
  void update_deadline();

  const ProxyParts& parts_;
  const http::ExchangeId id_;
  const uint64_t uid_;           // Of the client's connection.
  const BackendProtocol& protocol_;
  const config::BackendAction& settings_;
  const bool held_;              // The body is read as a whole first, whatever its size.
  const BodyFraming framing_;
  Attempts attempts_;
  const bool idempotent_;
  tls::Target target_;  // How its servers are spoken to.
  Group& group_;
  uint32_t key_ = 0;       // For the choice of a server.
  Peer* peer_ = nullptr;   // Counted in its in_use.
  std::unique_ptr<Connection> connection_;
  RequestBuffer out_;
  std::unique_ptr<http::ResponseReader> reader_;  // One per connection; none in a tunnel.
  std::vector<const Peer*> tried_;
  http::UpstreamProgress progress_;  // Of the latest attempt, which is the last of the exchange's trace.
  size_t index_ = 0;       // In ProxyLegs.
  uint64_t sent_bytes_ = 0;      // Of the request, on this connection.
  int64_t last_progress_ms_ = 0;
  int64_t send_since_ms_ = 0;    // The server takes nothing of what waits to be sent; 0: it does, or nothing waits.
  int64_t chosen_us_ = 0;  // When this connection got the request.
  int64_t last_read_ms_ = 0;     // In a tunnel.
  int depth_ = 0;                // Functions of this leg on the stack.
  uint16_t failure_status_ = 502;
  bool collecting_ = false;
  bool may_reuse_ = false;       // A connection of an earlier request.
  bool keep_ = false;            // The request leaves the connection open.
  bool upgrade_ = false;         // It asks for a WebSocket.
  bool reused_ = false;
  bool fresh_only_ = false;
  bool body_ended_ = false;      // The client's last byte is in out_.
  bool body_paused_ = false;     // on_body() has left something.
  bool body_discarded_ = false;  // The backend wants no more of it.
  bool send_broken_ = false;     // The backend reads no more; an answer may be there all the same.
  bool begun_ = false;           // The client has the head.
  bool tunnel_ = false;
  bool reading_ = true;          // The client can take more.
  bool over_ = false;            // Answered, cut or ended.
  bool detached_ = false;
};

class ProxyLegs {
 public:
  ProxyLeg& add(std::unique_ptr<ProxyLeg> leg);
  void remove(ProxyLeg& leg);
  size_t size() const { return legs_.size(); }

 private:
  std::vector<std::unique_ptr<ProxyLeg>> legs_;
};

}  // namespace beamgate::upstream
