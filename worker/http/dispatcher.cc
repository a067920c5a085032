#include "worker/http/dispatcher.h"

#include "common/base/clock.h"
#include "common/tls/server_session.h"
#include "worker/http/access_log.h"
#include "worker/http/client_address.h"
#include "worker/http/forwarded.h"
#include "worker/record/uid.h"
#include "worker/settings.h"

namespace beamgate::http {

using metrics::Metric;
using record::Record;

Dispatcher::Dispatcher(net::Connections& connections, Settings& settings, metrics::Page& metrics, log::Log& log,
                       AccessLogs* logs)
    : connections_(connections),
      settings_(settings),
      metrics_(metrics),
      log_(log),
      logs_(logs),
      parts_{connections, metrics},
      limits_(metrics, log) {
  parts_.error_pages = this;
}

Dispatcher::~Dispatcher() = default;

void Dispatcher::set_handler(config::Action action, Handler& handler) {
  handlers_[static_cast<size_t>(action)] = &handler;
}

void Dispatcher::follow() { router_.reset(); }

const Router& Dispatcher::router() {
  const auto& current = settings_.current_shared();
  if (router_ == nullptr || router_->config() != current) router_ = std::make_unique<Router>(current);
  return *router_;
}

HeadLimits Dispatcher::head_limits(const Record& record) {
  const config::Server& server = default_server(record.listen_id);
  HeadLimits limits;
  limits.request_line_bytes_max = server.request_line_bytes_max;
  limits.field_line_bytes_max = server.request_line_bytes_max;
  limits.head_bytes_max = server.header_bytes_max;
  limits.fields_max = server.header_fields_max;
  return limits;
}

uint32_t Dispatcher::next_number() {
  if (++last_number_ == 0) last_number_ = 1;  // 0 means "not in use".
  return last_number_;
}

// --- Exchanges.

ServedExchange* Dispatcher::served(ExchangeId id) {
  const Record* record = connections_.find(id.connection);
  if (record == nullptr) return nullptr;
  Carrier* carrier = carriers_[static_cast<size_t>(record->phase)];
  ServedExchange* exchange = carrier == nullptr ? nullptr : carrier->exchange_of(id);
  return exchange != nullptr && exchange->live() ? exchange : nullptr;
}

Exchange* Dispatcher::find(ExchangeId id) { return served(id); }

void Dispatcher::wake(int64_t now_ms) {
  while (parts_.wakes.due(now_ms)) {
    ServedExchange* exchange = served(parts_.wakes.take());
    if (exchange == nullptr) continue;
    connections_.serve(exchange->record(), ipc::Doing::Timer, [&] {
      if (!exchange->held()) return exchange->wake();
      exchange->release();
      admit(*exchange);
    });
  }
}

// --- Requests.

void Dispatcher::introduce(Request& request, const Record& record) {
  router().route_to_default(record.listen_id, request);
  request.remote_address = ClientAddress::of(record).text();
  request.remote_port = record.peer_port;
  if (record.extras != record::kNull) request.announced = record::extras_of(connections_.arena(), record).announced;
  request.tls = connections_.tls_of(record);
}

void Dispatcher::dispatch(ServedExchange& exchange) {
  Request& request = exchange.request_to_fill();
  Record& record = exchange.record();
  router().route_to_server(record.listen_id, request);
  arrive(exchange);
  if (record.transport != record::Transport::Plain && !check_transport(exchange, record)) return;
  route(exchange);
}

// The request's location is known for good: whether it may be served now.
void Dispatcher::serve(ServedExchange& exchange) {
  Request& request = exchange.request_to_fill();
  const config::Action action = request.location->action;
  const bool tells = action == config::Action::Status || action == config::Action::StubStatus ||
                     action == config::Action::Metrics || action == config::Action::Dashboard;
  if (short_of_memory_ && !tells) return exchange.refuse(Metric::RequestsRefusedMemory, 503, {{"Retry-After", "1"}});
  if (*request.limit_req_status != '\0') return admit(exchange);  // It has been asked before an error_page.
  const RequestLimits::Verdict rates = limits_.check_rates(request, exchange.record(), monotonic_ms());
  if (rates.status != 0) return exchange.respond_status(rates.status);
  if (rates.delay_ms > 0) return exchange.hold(monotonic_ms() + rates.delay_ms);
  admit(exchange);
}

// What is left to ask once the request's rate is fine, be it now or after it was held back.
void Dispatcher::admit(ServedExchange& exchange) {
  Request& request = exchange.request_to_fill();
  const uint16_t refused = *request.limit_conn_status == '\0' ? limits_.check_connections(exchange) : 0;
  if (refused != 0) return exchange.respond_status(refused);
  ClientAddress client = ClientAddress::of(exchange.record());
  ClientAddress::parse(request.remote_address, client);
  if (!access_allowed(request.location->access, client)) {
    metrics_.add(Metric::RequestsRefusedAccess);
    return exchange.respond_status(403);
  }
  const uint64_t body_bytes_max = request.location->body_bytes_max;
  if (body_bytes_max > 0 && request.content_length.value_or(0) > body_bytes_max) return exchange.refuse(413);
  if (request.path == "*") return exchange.respond(204, {}, {});
  if (!request.location->try_files.names.empty()) {
    const TryOutcome tried = try_files(request.location->try_files, request, exchange.record());
    if (!tried.found) return go_elsewhere(exchange, tried);
  }
  Handler* handler = handlers_[static_cast<size_t>(request.location->action)];
  if (handler == nullptr) return exchange.respond_status(404);
  exchange.run(*handler);
}

// False: the request is answered, because it came without TLS, or without a certificate that its server wants.
bool Dispatcher::check_transport(ServedExchange& exchange, const Record& record) {
  const Request& request = exchange.request();
  if (record.transport == record::Transport::PlainOnTls) {
    metrics_.add(Metric::RequestsRefusedTls);
    if (has_page(exchange, kPlainOnTls)) return static_cast<void>(show_page(exchange, kPlainOnTls)), false;
    exchange.turn_away(400, {}, "400 The plain HTTP request was sent to HTTPS port\n");
    return false;
  }
  if (request.tls == nullptr) return true;
  if (request.server->tls_settings.verify == tls::Verify::Off || request.server->tls == nullptr) return true;
  if (request.tls->trust() != request.server->tls->trust()) {
    // The handshake was with another server, which has asked for other certificates.
    metrics_.add(Metric::RequestsRefusedTls);
    exchange.respond_status(421);
    return false;
  }
  const char* refusal = request.tls->client_refusal();
  if (refusal == nullptr) return true;
  exchange.refuse(Metric::RequestsRefusedTls, 400, {}, std::string("400 ") + refusal + '\n');
  return false;
}

// The real client behind a trusted peer: what limits, allow and deny, and logs speak of.
void Dispatcher::find_client(Request& request, const Record& record) const {
  const config::RealIp& real_ip = request.location->real_ip;
  const ClientAddress peer = ClientAddress::of(record);
  if (request.trusted_peer) {  // As another location has it.
    request.remote_address = peer.text();
    request.remote_port = record.peer_port;
  }
  request.trusted_peer = is_trusted(real_ip.trusted, peer);
  if (!request.trusted_peer || real_ip.by_proxy_protocol()) return;
  std::string client = real_client(request, real_ip, peer).text();
  if (client != request.remote_address) request.remote_port = 0;  // Which isn't told with it.
  request.remote_address = std::move(client);
}

// --- The logs.

void Dispatcher::log_refused(const Request& request, const Record& record, const char* reason) {
  log_.info("request_refused", {{"connection", record::format_uid(record.uid)}, {"client", request.remote_address}, {"reason", reason}});
}

void Dispatcher::log_outcome(ServedExchange& exchange, const Record& record) {
  const config::Location* location = exchange.request().location;
  if (logs_ == nullptr || location == nullptr) return;
  Outcome outcome;
  outcome.status = exchange.status() != 0 ? exchange.status() : 499;  // nginx's: the client has gone.
  outcome.body_bytes_sent = exchange.body_bytes_sent();
  outcome.bytes_sent = exchange.bytes_sent();
  outcome.request_bytes = exchange.request_bytes();
  outcome.duration_us = monotonic_us() - exchange.started_us();
  logs_->write(location->access_logs, VariableScope{exchange.request(), record, &outcome});
}

}  // namespace beamgate::http
