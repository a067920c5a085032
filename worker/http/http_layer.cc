#include "worker/http/http_layer.h"

#include <sys/socket.h>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "worker/http/access_log.h"
#include "worker/http/client_address.h"
#include "worker/http/forwarded.h"
#include "worker/http/request_parser.h"
#include "worker/http/return_handler.h"
#include "worker/http/target.h"
#include "worker/record/arena.h"
#include "worker/settings.h"

namespace beamgate::http {
namespace {

using metrics::Metric;
using record::Record;

HeadLimits limits_of(const config::Server& server) {
  HeadLimits limits;
  limits.request_line_bytes_max = server.request_line_bytes_max;
  limits.field_line_bytes_max = server.request_line_bytes_max;
  limits.head_bytes_max = server.header_bytes_max;
  limits.fields_max = server.header_fields_max;
  return limits;
}

}  // namespace

HttpLayer::HttpLayer(net::Connections& connections, Settings& settings, metrics::Page& metrics, log::Log& log,
                     AccessLogs* logs)
    : connections_(connections),
      settings_(settings),
      metrics_(metrics),
      log_(log),
      parts_{connections, metrics},
      logs_(logs),
      limits_(connections, metrics, log) {}

HttpLayer::~HttpLayer() = default;

void HttpLayer::set_handler(config::Action action, Handler& handler) {
  handlers_[static_cast<size_t>(action)] = &handler;
}

const Router& HttpLayer::router() {
  const auto& current = settings_.current_shared();
  if (router_ == nullptr || router_->config() != current) router_ = std::make_unique<Router>(current);
  return *router_;
}

// --- Sessions.

Session* HttpLayer::session_of(record::ConnId id) {
  if (id.slot >= session_of_slot_.size() || session_of_slot_[id.slot] == 0) return nullptr;
  Session* session = sessions_[session_of_slot_[id.slot] - 1].get();
  return session->connection() == id ? session : nullptr;
}

Exchange* HttpLayer::find(ExchangeId id) {
  Session* session = session_of(id.connection);
  return session != nullptr && session->number() == id.number && session->live() ? session : nullptr;
}

Session& HttpLayer::make_session(record::ConnId id, std::string_view head) {
  if (free_sessions_.empty()) {
    free_sessions_.push_back(static_cast<uint32_t>(sessions_.size()));
    SessionOwner& owner = *this;
    sessions_.push_back(std::make_unique<Session>(parts_, owner));
  }
  const uint32_t index = free_sessions_.back();
  free_sessions_.pop_back();
  if (id.slot >= session_of_slot_.size()) session_of_slot_.resize(size_t{id.slot} + 1);
  session_of_slot_[id.slot] = index + 1;
  if (++next_number_ == 0) next_number_ = 1;  // 0 means "not in use".
  Record& record = connections_.arena().records()[id.slot];
  record::touch(connections_.arena(), record);
  record.flags |= record::kFlagExchange;
  sessions_[index]->begin_request(id, next_number_, head);
  ++in_flight_;
  return *sessions_[index];
}

// The session is over: it is logged, and cleared when no code of its handler can be running any more.
void HttpLayer::let_go(Session& session) {
  const uint32_t slot = session.connection().slot;
  const uint32_t index = session_of_slot_[slot] - 1;
  session_of_slot_[slot] = 0;
  retired_.push_back(index);
  --in_flight_;
  Record& record = connections_.arena().records()[slot];
  if (connections_.find(session.connection()) != nullptr) {
    record::touch(connections_.arena(), record);
    record.flags = static_cast<uint8_t>(record.flags & ~record::kFlagExchange);
  }
  const config::Location* location = session.request().location;
  if (logs_ == nullptr || location == nullptr) return;
  Outcome outcome;
  outcome.status = session.status() != 0 ? session.status() : 499;  // nginx's: the client has gone.
  outcome.body_bytes_sent = session.body_bytes_sent();
  outcome.bytes_sent = session.bytes_sent();
  outcome.request_bytes = session.request_bytes();
  outcome.duration_us = monotonic_us() - session.started_us();
  logs_->write(location->access_log, VariableScope{session.request(), record, &outcome});
}

void HttpLayer::reap() {
  // Destroying an attachment may end other exchanges, which then wait for the next round.
  std::vector<uint32_t> batch;
  batch.swap(retired_);
  for (const uint32_t index : batch) {
    if (sessions_[index]->busy()) {
      retired_.push_back(index);
      continue;
    }
    sessions_[index]->clear();
    free_sessions_.push_back(index);
  }
  // The memory of a burst is given back, as far as it is the newest.
  while (sessions_.size() > kSessionsPooled && !free_sessions_.empty() &&
         free_sessions_.back() + 1 == sessions_.size()) {
    free_sessions_.pop_back();
    sessions_.pop_back();
  }
}

void HttpLayer::hand_over(Session& session, record::Phase phase) {
  Record& record = session.record();
  let_go(session);
  session.lose();
  connections_.set_deadline(record, 0);
  connections_.resume(record, record::kPauseExchange);
  connections_.enter_phase(record, phase);
}

void HttpLayer::settle(Session& session) {
  const Session::Next next = session.next();
  if (next == Session::Next::LetGo) return;  // Whoever took the connection has let go of the session.
  Record& record = session.record();
  if (next == Session::Next::Discard) return session.begin_discard(record);
  const config::Location& location = *session.request().location;
  const auto config = session.request().config;  // Keeps `location` alive.
  connections_.uncount(record);
  let_go(session);
  session.lose();
  if (next == Session::Next::Keep) {
    wait_for_request(record, location);
  } else if (next == Session::Next::Close) {
    connections_.close_gracefully(record);
  } else {
    const linger reset{1, 0};
    setsockopt(record.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    connections_.close_now(record);
  }
}

void HttpLayer::wait_for_request(Record& record, const config::Location& location) {
  connections_.set_deadline(record, monotonic_ms() + location.keepalive_timeout_ms);
  connections_.resume(record, record::kPauseExchange);
}

// --- Requests.

void HttpLayer::on_enter(Record& record) {
  record.outbound_limit = kOutboundBytesMax;
  const config::Server& server = router().default_server(record.listen_id);
  const bool is_plain = record.transport == record::Transport::Plain;
  const int64_t wait_ms = is_plain ? server.header_timeout_ms : server.tls_settings.handshake_timeout_ms;
  connections_.set_deadline(record, monotonic_ms() + wait_ms);
}

void HttpLayer::on_secured(Record& record) {
  const config::Server& server = router().default_server(record.listen_id);
  connections_.set_deadline(record, monotonic_ms() + server.header_timeout_ms);
}

void HttpLayer::on_insecure(Record& record, std::string_view reason) {
  log_.info("tls_handshake_failed", {{"client", ClientAddress::of(record).text()}, {"reason", reason}});
}

std::shared_ptr<const tls::ServerContext> HttpLayer::context_of(uint32_t listen_id) {
  return router().tls_context(listen_id);
}

std::shared_ptr<const tls::ServerContext> HttpLayer::context_of(uint32_t listen_id, std::string_view name) {
  return router().tls_context(listen_id, name);
}

size_t HttpLayer::on_bytes(Record& record, std::span<const char> bytes) {
  const record::ConnId id = connections_.id_of(record);
  const std::string_view all(bytes.data(), bytes.size());
  size_t used = 0;
  int requests = 0;
  while (used < all.size() && record.pauses == 0) {
    if (connections_.outbound_queued(record) > Session::kHighWaterBytes && session_of(id) == nullptr) {
      // The client sends requests and doesn't read the answers.
      connections_.pause(record, record::kPauseOutbound);
      break;
    }
    size_t taken = 0;
    if (Session* session = session_of(id)) {
      taken = session->take_body(record, all.substr(used));
    } else if (requests++ == kPipelinedPerTurn) {
      connections_.pause(record, record::kPauseTurn);
      break;
    } else {
      taken = take_head(record, all.substr(used));
    }
    used += taken;
    if (taken == 0 || connections_.find(id) == nullptr || record.phase != record::Phase::Http) break;
  }
  reap();
  return used;
}

size_t HttpLayer::take_head(Record& record, std::string_view bytes) {
  const uint32_t slot = connections_.id_of(record).slot;
  const config::Server& server = router().default_server(record.listen_id);
  const auto kept = scans_.find(slot);
  HeadScan scan = kept == scans_.end() ? HeadScan() : kept->second;
  const HeadScan::Progress progress = scan.advance(bytes, limits_of(server));
  if (progress.kind == HeadScan::Progress::Kind::NeedMore) {
    keep_scan(record, scan, kept == scans_.end(), server);
    return 0;
  }
  if (kept != scans_.end()) scans_.erase(kept);
  if (progress.kind == HeadScan::Progress::Kind::Bad) {
    refuse_head(record, bytes.substr(0, 0), progress.status);
    return bytes.size();
  }
  const std::string_view head = bytes.substr(progress.head_start, progress.head_end - progress.head_start);
  start_exchange(record, head, progress.fields);
  return progress.head_end;
}

// A new connection's header timeout has been running since it came, that of a later request starts now.
void HttpLayer::keep_scan(Record& record, const HeadScan& scan, bool first_bytes,
                          const config::Server& server) {
  scans_[connections_.id_of(record).slot] = scan;
  if (first_bytes && record.keepalive_count > 0) {
    connections_.set_deadline(record, monotonic_ms() + server.header_timeout_ms);
  }
}

void HttpLayer::start_exchange(Record& record, std::string_view head, uint32_t field_lines) {
  metrics_.add(Metric::HttpRequests);
  Session& session = make_session(connections_.id_of(record), head);
  Request& request = session.request_to_fill();
  const Verdict verdict = parse_request_head(session.head(), field_lines, request);
  router().route_to_default(record.listen_id, request);
  request.remote_address = ClientAddress::of(record).text();
  request.remote_port = record.peer_port;
  if (record.extras != record::kNull) request.announced = record::extras_of(connections_.arena(), record).announced;
  request.tls = connections_.tls_of(record);
  if (!verdict.good()) {
    log_.info("request_refused", {{"client", request.remote_address}, {"reason", verdict.reason}});
    return session.refuse(verdict.status);
  }
  dispatch(session, record);
}

void HttpLayer::dispatch(Session& session, Record& record) {
  Request& request = session.request_to_fill();
  const uint16_t routed = router().route(record.listen_id, request);
  record.location_id = request.location->id;
  session.begin_body();
  if (routed == 301) {
    std::string target = encode_path(request.path) + "/";
    if (!request.query.empty()) (target += '?') += request.query;
    return session.respond(301, "text/plain", {}, {{"Location", absolute_location(request, target)}});
  }
  if (routed != 0) return session.respond_status(routed);
  if (record.transport != record::Transport::Plain && !check_transport(session, record)) return;
  const config::Action action = request.location->action;
  if (short_of_memory_ && action != config::Action::Status && action != config::Action::Metrics) {
    metrics_.add(Metric::MemoryLimitRefused);
    return session.refuse(503, {{"Retry-After", "1"}});
  }
  find_client(request, record);
  const RequestLimits::Verdict rates = limits_.check_rates(request, record, monotonic_ms());
  if (rates.status != 0) return session.respond_status(rates.status);
  if (rates.delay_ms > 0) return session.hold(monotonic_ms() + rates.delay_ms);
  admit(session, record);
}

// What is left to ask once the request's rate is fine, be it now or after it was held back.
void HttpLayer::admit(Session& session, Record& record) {
  Request& request = session.request_to_fill();
  const uint16_t refused = limits_.check_connections(request, record);
  if (refused != 0) return session.respond_status(refused);
  ClientAddress client = ClientAddress::of(record);
  ClientAddress::parse(request.remote_address, client);
  if (!access_allowed(request.location->access, client)) return session.respond_status(403);
  const uint64_t body_bytes_max = request.location->body_bytes_max;
  if (body_bytes_max > 0 && request.content_length.value_or(0) > body_bytes_max) return session.refuse(413);
  if (request.path == "*") return session.respond(204, {}, {});
  Handler* handler = handlers_[static_cast<size_t>(request.location->action)];
  if (handler == nullptr) return session.respond_status(404);
  session.run(*handler);
}

// False: the request is answered, because it came without TLS, or without a certificate that its server wants.
bool HttpLayer::check_transport(Session& session, const Record& record) {
  const Request& request = session.request();
  if (record.transport == record::Transport::PlainOnTls) {
    session.refuse(400, {}, "400 The plain HTTP request was sent to HTTPS port\n");
    return false;
  }
  if (request.server->tls_settings.verify == tls::Verify::Off || request.server->tls == nullptr) return true;
  if (!request.tls->context().trusts_like(*request.server->tls)) {
    // The handshake was with another server, which has asked for other certificates.
    session.respond_status(421);
    return false;
  }
  const char* refusal = request.tls->client_refusal();
  if (refusal == nullptr) return true;
  session.refuse(400, {}, std::string("400 ") + refusal + '\n');
  return false;
}

// The real client behind a trusted peer: what limits, allow and deny, and logs speak of.
void HttpLayer::find_client(Request& request, const Record& record) const {
  const config::RealIp& real_ip = request.location->real_ip;
  const ClientAddress peer = ClientAddress::of(record);
  request.trusted_peer = is_trusted(real_ip.trusted, peer);
  if (!request.trusted_peer || real_ip.by_proxy_protocol()) return;
  std::string client = real_client(request, real_ip, peer).text();
  if (client != request.remote_address) request.remote_port = 0;  // Which isn't told with it.
  request.remote_address = std::move(client);
}

void HttpLayer::wake_at(Session& session, int64_t at_ms) { wakes_.push({at_ms, session.id()}); }

void HttpLayer::wake(int64_t now_ms) {
  while (!wakes_.empty() && wakes_.top().at_ms <= now_ms) {
    const ExchangeId id = wakes_.top().exchange;
    wakes_.pop();
    Session* session = session_of(id.connection);
    if (session == nullptr || session->number() != id.number || !session->live()) continue;
    Record& record = session->record();
    connections_.serve(record, ipc::Doing::Timer, [&] {
      if (!session->held()) return session->wake();
      session->release();
      admit(*session, record);
    });
  }
}

// There is no request to speak of, but an answer, and a line in the log.
void HttpLayer::refuse_head(Record& record, std::string_view bytes, uint16_t status) {
  metrics_.add(Metric::HttpRequests);
  Session& session = make_session(connections_.id_of(record), bytes);
  Request& request = session.request_to_fill();
  router().route_to_default(record.listen_id, request);
  request.remote_address = ClientAddress::of(record).text();
  request.tls = connections_.tls_of(record);
  session.refuse(status);
}

// --- Events.

void HttpLayer::on_end(Record& record) {
  const record::ConnId id = connections_.id_of(record);
  if (Session* session = session_of(id)) {
    session->peer_closed();
  } else {
    connections_.close_gracefully(record);
  }
}

void HttpLayer::on_drained(Record& record) {
  connections_.resume(record, record::kPauseOutbound);
  if (Session* session = session_of(connections_.id_of(record))) session->drained();
}

void HttpLayer::on_deadline(Record& record) {
  const record::ConnId id = connections_.id_of(record);
  if (Session* session = session_of(id)) return session->deadline_passed();
  const bool head_begun = record.carry_bytes > 0 && connections_.outbound_queued(record) == 0;
  if (head_begun) return refuse_head(record, {}, 408);
  if (connections_.outbound_queued(record) > 0) return connections_.close_now(record);
  connections_.close_gracefully(record);
}

bool HttpLayer::may_move(const Record& record) { return session_of(connections_.id_of(record)) == nullptr; }

// The scan of a head that has begun is made again from its bytes, but its time has begun already.
void HttpLayer::on_adopted(Record& record) {
  if (record.carry_bytes > 0) scans_[connections_.id_of(record).slot] = HeadScan();
  if (record.deadline_tick == 0) connections_.set_deadline(record, connections_.now_ms());
}

void HttpLayer::on_given(Record& record) { scans_.erase(connections_.id_of(record).slot); }

void HttpLayer::on_gone(Record& record) {
  const record::ConnId id = connections_.id_of(record);
  scans_.erase(id.slot);
  Session* session = session_of(id);
  if (session == nullptr) return;
  let_go(*session);
  session->lose();
}

void HttpLayer::end_turn() {
  reap();
  if (logs_ != nullptr) logs_->flush();
}

void HttpLayer::drain() {
  parts_.draining = true;
  connections_.for_each([this](Record& record) {
    if (record.phase != record::Phase::Http || record.carry_bytes > 0) return;
    const tls::ServerSession* tls = connections_.tls_of(record);
    if (tls != nullptr && tls->state() == tls::ServerSession::State::Handshaking) return;
    if (session_of(connections_.id_of(record)) == nullptr) connections_.close_gracefully(record);
  });
}

}  // namespace beamgate::http
