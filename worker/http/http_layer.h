// HTTP layer: every connection in phase Http; finds requests in its bytes and hands them to handlers.
//
// Owner      One per worker.  A Session exists per request in flight; a connection that waits for its next
//            request is only its record, and can be moved.
// Thread     Worker loop thread only.
// Order      Strictly one exchange at a time on a connection: pipelined requests wait, unread or as carry.
// Limits     HeadLimits of the listen's default server (414, 431); header_timeout (408, or a silent close
// when
//            nothing has come); kOutboundBytesMax queued; kPipelinedPerTurn requests in one loop turn;
//            limit_req, limit_conn and memory_limit as the configuration says (request_limits.h).
#pragma once

#include <cstdint>
#include <memory>
#include <queue>
#include <unordered_map>
#include <vector>

#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "common/tls/server_session.h"
#include "worker/http/exchange.h"
#include "worker/http/head_scan.h"
#include "worker/http/request_limits.h"
#include "worker/http/router.h"
#include "worker/http/session.h"
#include "worker/net/connections.h"
#include "worker/net/phase_handler.h"

namespace beamgate {
class Settings;
}

namespace beamgate::http {

class AccessLogs;

class HttpLayer final : public net::PhaseHandler, public Exchanges, public tls::Contexts, private SessionOwner {
 public:
  static constexpr uint32_t kOutboundBytesMax = 16 << 20;
  static constexpr int kPipelinedPerTurn = 64;
  static constexpr size_t kSessionsPooled = 256;

  // `logs` may be null: nothing is logged.  The phase handler of Phase::Http, to be told to `connections`.
  HttpLayer(net::Connections& connections, Settings& settings, metrics::Page& metrics, log::Log& log,
            AccessLogs* logs);
  ~HttpLayer() override;

  // Exchanges
  Exchange* find(ExchangeId id) override;
  void set_handler(config::Action action, Handler& handler) override;

  // The tables that all workers count in; see RequestLimits::share().
  void share_rates(ipc::RateTable* rates, uint64_t seed) { limits_.share(rates, seed); }
  // While it is short of memory, the worker takes no request but those for status and metrics.
  void set_short_of_memory(bool is_short) { short_of_memory_ = is_short; }
  // The server whose settings hold before a name is known.
  const config::Server& default_server(uint32_t listen_id) { return router().default_server(listen_id); }

  // Exchanges that wait for a moment (limit_req, limit_rate): when the next is due, monotonic; 0: none.
  int64_t next_wake_ms() const { return wakes_.empty() ? 0 : wakes_.top().at_ms; }
  void wake(int64_t now_ms);  // Goes on with those that are due.

  // Last in every loop turn, behind Connections::end_turn(): lets go of what has ended, writes the logs.
  void end_turn();
  // The worker is about to end: idle connections close now, the others with their response.
  void drain();
  uint32_t in_flight() const { return in_flight_; }

  // tls::Contexts
  std::shared_ptr<const tls::ServerContext> context_of(uint32_t listen_id) override;
  std::shared_ptr<const tls::ServerContext> context_of(uint32_t listen_id, std::string_view name) override;

  // net::PhaseHandler
  void on_enter(record::Record& record) override;
  void on_secured(record::Record& record) override;
  void on_insecure(record::Record& record, std::string_view reason) override;
  size_t on_bytes(record::Record& record, std::span<const char> bytes) override;
  void on_end(record::Record& record) override;
  void on_drained(record::Record& record) override;
  void on_deadline(record::Record& record) override;
  bool may_move(const record::Record& record) override;  // Between two requests.
  void on_adopted(record::Record& record) override;
  void on_given(record::Record& record) override;
  void on_gone(record::Record& record) override;

 private:
  static constexpr size_t kActions = static_cast<size_t>(config::Action::LivePage) + 1;

  void settle(Session& session) override;
  void hand_over(Session& session, record::Phase phase) override;
  void wake_at(Session& session, int64_t at_ms) override;

  Session* session_of(record::ConnId id);
  Session& make_session(record::ConnId id, std::string_view head);
  void let_go(Session& session);
  void reap();
  const Router& router();
  size_t take_head(record::Record& record, std::string_view bytes);
  void keep_scan(record::Record& record, const HeadScan& scan, bool first_bytes,
                 const config::Server& server);
  void start_exchange(record::Record& record, std::string_view head, uint32_t field_lines);
  void dispatch(Session& session, record::Record& record);
  void find_client(Request& request, const record::Record& record) const;
  void admit(Session& session, record::Record& record);
  bool check_transport(Session& session, const record::Record& record);
  void refuse_head(record::Record& record, std::string_view bytes, uint16_t status);
  void wait_for_request(record::Record& record, const config::Location& location);

  net::Connections& connections_;
  Settings& settings_;
  metrics::Page& metrics_;
  log::Log& log_;
  SessionParts parts_;
  AccessLogs* logs_;
  Handler* handlers_[kActions] = {};
  std::unique_ptr<Router> router_;
  std::vector<uint32_t> session_of_slot_;  // By record slot: index into sessions_, plus 1; 0: none.
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<uint32_t> free_sessions_;
  std::vector<uint32_t> retired_;                 // Ended, to be cleared once no code of theirs can run.
  std::unordered_map<uint32_t, HeadScan> scans_;  // By slot: heads that have come in part.
  struct Wake {
    int64_t at_ms = 0;
    ExchangeId exchange;
    bool operator<(const Wake& other) const { return at_ms > other.at_ms; }  // The earliest on top.
  };
  std::priority_queue<Wake> wakes_;
  RequestLimits limits_;
  bool short_of_memory_ = false;
  uint32_t next_number_ = 0;
  uint32_t in_flight_ = 0;
};

}  // namespace beamgate::http
