// Dispatcher: what happens to a request once its head is known, whatever version of HTTP has brought it: which server
// and location it is for, whether it may be served, and by whom.
//
// Owner      One per worker; the layers of HTTP/1 and HTTP/2 bring their exchanges here.
// Thread     Worker loop thread only.
// Limits     limit_req, limit_conn, allow and deny, client_max_body_size and memory_limit as the configuration says
//            (request_limits.h).
// Errors     A request that may not be served is answered, and logged as every other.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "worker/http/head_scan.h"
#include "worker/http/request_limits.h"
#include "worker/http/rewriter.h"
#include "worker/http/router.h"
#include "worker/http/served_exchange.h"
#include "worker/http/try_files.h"

namespace beamgate {
class Settings;
}

namespace beamgate::http {

class AccessLogs;

// nginx's number for a plain request to a TLS address, as error_page says it.
inline constexpr uint16_t kPlainOnTls = 497;

// Knows the exchanges of the connections in its phase.
class Carrier {
 public:
  virtual ~Carrier() = default;
  virtual ServedExchange* exchange_of(ExchangeId id) = 0;  // Null: there is none of that name.
};

class Dispatcher final : public Exchanges, private ErrorPages {
 public:
  // `logs` may be null: nothing is logged.
  Dispatcher(net::Connections& connections, Settings& settings, metrics::Page& metrics, log::Log& log,
             AccessLogs* logs);
  ~Dispatcher() override;

  void set_carrier(record::Phase phase, Carrier& carrier) { carriers_[static_cast<size_t>(phase)] = &carrier; }

  // Exchanges
  Exchange* find(ExchangeId id) override;
  void set_handler(config::Action action, Handler& handler) override;

  // The tables that all workers count in; see RequestLimits::share().
  void share_rates(ipc::RateTable* rates, uint64_t seed) { limits_.share(rates, seed); }
  // While it is short of memory, the worker takes no request but those for status and metrics.
  void set_short_of_memory(bool is_short) { short_of_memory_ = is_short; }
  void follow();  // The configuration in force is another now.
  void drain() { parts_.draining = true; }  // The worker is about to end: no connection is kept.

  // --- For the layers.
  ExchangeParts& parts() { return parts_; }
  const Router& router();  // Of the configuration in force.
  // The server whose settings hold before a name is known.
  const config::Server& default_server(uint32_t listen_id) { return router().default_server(listen_id); }
  HeadLimits head_limits(const record::Record& record);  // Of its address's default server.
  uint32_t next_number();  // For a new exchange; never 0.
  // What its connection says of a request, and the server that answers until it is routed.
  void introduce(Request& request, const record::Record& record);
  void dispatch(ServedExchange& exchange);  // A request whose head is fine.
  void log_refused(const Request& request, const record::Record& record, const char* reason);
  void log_outcome(ServedExchange& exchange, const record::Record& record);  // It is over.

  // --- For the worker's loop.
  // Exchanges that wait for a moment (limit_req, limit_rate): when the next is due, monotonic; 0: none.
  int64_t next_wake_ms() const { return parts_.wakes.next_ms(); }
  void wake(int64_t now_ms);  // Goes on with those that are due.

 private:
  static constexpr size_t kActions = static_cast<size_t>(config::kLastAction) + 1;
  static constexpr size_t kPhases = static_cast<size_t>(record::kLastPhase) + 1;

  ServedExchange* served(ExchangeId id);

  // dispatcher_routing.cc: from the path to the location that serves it.
  void route(ServedExchange& exchange);
  void search(ServedExchange& exchange);
  void arrive(ServedExchange& exchange);
  bool answered(ServedExchange& exchange, const Direction& direction);
  bool go_to_named(ServedExchange& exchange, std::string_view name);
  void go_elsewhere(ServedExchange& exchange, const TryOutcome& tried);
  bool has_page(ServedExchange& exchange, uint16_t status) override;
  bool show_page(ServedExchange& exchange, uint16_t status) override;

  void serve(ServedExchange& exchange);
  void admit(ServedExchange& exchange);
  void find_client(Request& request, const record::Record& record) const;
  bool check_transport(ServedExchange& exchange, const record::Record& record);

  net::Connections& connections_;
  Settings& settings_;
  metrics::Page& metrics_;
  log::Log& log_;
  AccessLogs* logs_;
  ExchangeParts parts_;
  Carrier* carriers_[kPhases] = {};
  Handler* handlers_[kActions] = {};
  std::unique_ptr<Router> router_;
  RequestLimits limits_;
  bool short_of_memory_ = false;
  uint32_t last_number_ = 0;
};

}  // namespace beamgate::http
