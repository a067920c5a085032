// HTTP layer: every connection in phase Http; finds requests in its bytes and brings them to the dispatcher.
//
// Owner      One per worker.  A Session exists per request in flight; a connection that waits for its next
//            request is only its record, and can be moved.
// Thread     Worker loop thread only.
// Order      Strictly one exchange at a time on a connection: pipelined requests wait, unread or as carry.
// Limits     HeadLimits of the listen's default server (414, 431); header_timeout (408, or a silent close when
//            nothing has come); kOutboundBytesMax queued; kPipelinedPerTurn requests in one loop turn.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "common/tls/server_session.h"
#include "worker/http/dispatcher.h"
#include "worker/http/head_scan.h"
#include "worker/http/session.h"
#include "worker/net/connections.h"
#include "worker/net/phase_handler.h"

namespace beamgate::http {

class HttpLayer final : public net::PhaseHandler, public Carrier, public tls::Contexts, private SessionOwner {
 public:
  static constexpr uint32_t kOutboundBytesMax = 16 << 20;
  static constexpr int kPipelinedPerTurn = 64;
  static constexpr size_t kSessionsPooled = 256;

  // The phase handler of Phase::Http, to be told to `connections`.
  HttpLayer(net::Connections& connections, Dispatcher& dispatcher, metrics::Page& metrics, log::Log& log);
  ~HttpLayer() override;

  // Carrier
  ServedExchange* exchange_of(ExchangeId id) override;

  // Last in every loop turn, behind Connections::end_turn(): lets go of what has ended.
  void end_turn();
  // The worker is about to end, as the dispatcher knows: idle connections close now, the others with their response.
  void drain();
  uint32_t in_flight() const { return in_flight_; }

  // tls::Contexts
  std::shared_ptr<const tls::ServerContext> context_of(uint32_t listen_id) override;
  std::shared_ptr<const tls::ServerContext> context_of(uint32_t listen_id, std::string_view name) override;
  bool speaks_http2(uint32_t listen_id, std::string_view name) override;

  // net::PhaseHandler
  void on_enter(record::Record& record) override;
  void on_secured(record::Record& record) override;
  void on_insecure(record::Record& record, const tls::HandshakeFailure& failure) override;
  size_t on_bytes(record::Record& record, std::span<const char> bytes) override;
  void on_end(record::Record& record) override;
  void on_peer_gone(record::Record& record) override;
  void on_drained(record::Record& record) override;
  void on_deadline(record::Record& record) override;
  bool may_move(const record::Record& record) override;  // Between two requests.
  void on_adopted(record::Record& record) override;
  void on_given(record::Record& record) override;
  void on_gone(record::Record& record) override;

 private:
  void settle(Session& session) override;
  void hand_over(Session& session, record::Phase phase) override;

  Session* session_of(record::ConnId id);
  Session& make_session(record::ConnId id, std::string_view head);
  void let_go(Session& session);
  void reap();
  bool leave_for_http2(record::Record& record, std::string_view bytes);
  size_t take_head(record::Record& record, std::string_view bytes);
  void keep_scan(record::Record& record, const HeadScan& scan, bool first_bytes,
                 const config::Server& server);
  void start_exchange(record::Record& record, std::string_view head, uint32_t field_lines);
  void refuse_head(record::Record& record, std::string_view bytes, uint16_t status);
  void wait_for_request(record::Record& record, const config::Location& location);

  net::Connections& connections_;
  Dispatcher& dispatcher_;
  metrics::Page& metrics_;
  log::Log& log_;
  std::vector<uint32_t> session_of_slot_;  // By record slot: index into sessions_, plus 1; 0: none.
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<uint32_t> free_sessions_;
  std::vector<uint32_t> retired_;                 // Ended, to be cleared once no code of theirs can run.
  std::unordered_map<uint32_t, HeadScan> scans_;  // By slot: heads that have come in part.
  uint32_t in_flight_ = 0;
};

}  // namespace beamgate::http
