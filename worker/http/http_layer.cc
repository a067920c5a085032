#include "worker/http/http_layer.h"

#include "common/base/clock.h"
#include "worker/http/client_address.h"
#include "worker/http/last_word.h"
#include "worker/http/request_parser.h"
#include "worker/net/reset.h"
#include "worker/record/arena.h"
#include "worker/record/uid.h"

namespace beamgate::http {
namespace {

using metrics::Metric;
using record::Record;

// RFC 9113 section 3.4.
constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

Metric metric_of(tls::HandshakeFailure::Kind kind) {
  using Kind = tls::HandshakeFailure::Kind;
  switch (kind) {
    case Kind::Version:
      return Metric::TlsHandshakesFailedVersion;
    case Kind::Cipher:
      return Metric::TlsHandshakesFailedCipher;
    case Kind::Protocol:
      return Metric::TlsHandshakesFailedProtocol;
    case Kind::Rejected:
      return Metric::TlsHandshakesFailedRejected;
    case Kind::Alert:
      return Metric::TlsHandshakesFailedAlert;
    case Kind::Malformed:
      return Metric::TlsHandshakesFailedMalformed;
    case Kind::Timeout:
      return Metric::TlsHandshakesFailedTimeout;
    case Kind::Closed:
      return Metric::TlsHandshakesFailedClosed;
  }
  return Metric::TlsHandshakesFailedMalformed;
}

}  // namespace

HttpLayer::HttpLayer(net::Connections& connections, Dispatcher& dispatcher, metrics::Page& metrics, log::Log& log)
    : connections_(connections), dispatcher_(dispatcher), metrics_(metrics), log_(log) {
  dispatcher.set_carrier(record::Phase::Http, *this);
}

HttpLayer::~HttpLayer() = default;

// --- Sessions.

Session* HttpLayer::session_of(record::ConnId id) {
  if (id.slot >= session_of_slot_.size() || session_of_slot_[id.slot] == 0) return nullptr;
  Session* session = sessions_[session_of_slot_[id.slot] - 1].get();
  return session->connection() == id ? session : nullptr;
}

ServedExchange* HttpLayer::exchange_of(ExchangeId id) {
  Session* session = session_of(id.connection);
  return session != nullptr && session->number() == id.number ? session : nullptr;
}

Session& HttpLayer::make_session(record::ConnId id, std::string_view head) {
  if (free_sessions_.empty()) {
    free_sessions_.push_back(static_cast<uint32_t>(sessions_.size()));
    SessionOwner& owner = *this;
    sessions_.push_back(std::make_unique<Session>(dispatcher_.parts(), owner));
  }
  const uint32_t index = free_sessions_.back();
  free_sessions_.pop_back();
  if (id.slot >= session_of_slot_.size()) session_of_slot_.resize(size_t{id.slot} + 1);
  session_of_slot_[id.slot] = index + 1;
  Record& record = connections_.arena().records()[id.slot];
  record::touch(connections_.arena(), record);
  record.flags |= record::kFlagExchange;
  sessions_[index]->begin(id, dispatcher_.next_number(), head);
  ++in_flight_;
  metrics_.set(Metric::HttpRequestsActive, in_flight_);
  return *sessions_[index];
}

// The session is over: it is logged, and cleared when no code of its handler can be running any more.
void HttpLayer::let_go(Session& session) {
  const uint32_t slot = session.connection().slot;
  const uint32_t index = session_of_slot_[slot] - 1;
  session_of_slot_[slot] = 0;
  retired_.push_back(index);
  --in_flight_;
  metrics_.set(Metric::HttpRequestsActive, in_flight_);
  Record& record = connections_.arena().records()[slot];
  if (connections_.find(session.connection()) != nullptr) {
    record::touch(connections_.arena(), record);
    record.flags = static_cast<uint8_t>(record.flags & ~record::kFlagExchange);
  }
  dispatcher_.log_outcome(session, record);
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
  if (next == Session::Next::Discard) return session.begin_discard();
  const config::Location& location = *session.request().location;
  const auto config = session.request().config;  // Keeps `location` alive.
  const bool last = session.is_last();
  session.uncount();
  let_go(session);
  session.lose();
  if (next == Session::Next::Keep) {
    wait_for_request(record, location);
  } else if (next == Session::Next::Close) {
    last ? connections_.close_after_last(record) : connections_.close_gracefully(record);
  } else {
    net::reset_when_closed(record.fd);
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
  const config::Server& server = dispatcher_.default_server(record.listen_id);
  const bool is_plain = record.transport == record::Transport::Plain;
  const int64_t wait_ms = is_plain ? server.header_timeout_ms : server.tls_settings.handshake_timeout_ms;
  connections_.set_deadline(record, monotonic_ms() + wait_ms);
}

void HttpLayer::on_secured(Record& record) {
  const config::Server& server = dispatcher_.default_server(record.listen_id);
  connections_.set_deadline(record, monotonic_ms() + server.header_timeout_ms);
  if (connections_.tls_of(record)->chose_http2()) connections_.enter_phase(record, record::Phase::Http2);
}

void HttpLayer::on_insecure(Record& record, const tls::HandshakeFailure& failure) {
  metrics_.add(metric_of(failure.kind));
  log_.info("tls_handshake_failed", {{"connection", record::format_uid(record.uid)}, {"client", ClientAddress::of(record).text()}, {"reason", failure.text}});
}

std::shared_ptr<const tls::ServerContext> HttpLayer::context_of(uint32_t listen_id) {
  return dispatcher_.router().tls_context(listen_id);
}

std::shared_ptr<const tls::ServerContext> HttpLayer::context_of(uint32_t listen_id, std::string_view name) {
  return dispatcher_.router().tls_context(listen_id, name);
}

bool HttpLayer::speaks_http2(uint32_t listen_id, std::string_view name) {
  return dispatcher_.router().speaks_http2(listen_id, name);
}

// True: these bytes, the connection's first, are the client preface of HTTP/2, or may yet become it.
bool HttpLayer::leave_for_http2(Record& record, std::string_view bytes) {
  if (record.keepalive_count > 0 || record.transport != record::Transport::Plain) return false;
  if (bytes[0] != kHttp2Preface[0] || !dispatcher_.router().speaks_http2(record.listen_id)) return false;
  const std::string_view begin = bytes.substr(0, kHttp2Preface.size());
  if (!kHttp2Preface.starts_with(begin)) return false;
  if (begin.size() == kHttp2Preface.size()) connections_.enter_phase(record, record::Phase::Http2);
  return true;
}

size_t HttpLayer::on_bytes(Record& record, std::span<const char> bytes) {
  const record::ConnId id = connections_.id_of(record);
  const std::string_view all(bytes.data(), bytes.size());
  if (session_of(id) == nullptr && leave_for_http2(record, all)) return 0;
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
  const config::Server& server = dispatcher_.default_server(record.listen_id);
  const auto kept = scans_.find(slot);
  HeadScan scan = kept == scans_.end() ? HeadScan() : kept->second;
  const HeadScan::Progress progress = scan.advance(bytes, dispatcher_.head_limits(record));
  if (progress.kind == HeadScan::Progress::Kind::NeedMore) {
    keep_scan(record, scan, kept == scans_.end(), server);
    return 0;
  }
  if (kept != scans_.end()) scans_.erase(kept);
  if (progress.kind == HeadScan::Progress::Kind::Bad) {
    refuse_head(record, bytes, progress.status);
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
  dispatcher_.introduce(request, record);
  if (verdict.good()) return dispatcher_.dispatch(session);
  request.refused_line = first_line(session.head());
  dispatcher_.log_refused(request, record, verdict.reason);
  session.refuse(verdict.status);
}

// There is no request to speak of, but an answer, and a line in the log, with what came instead.
void HttpLayer::refuse_head(Record& record, std::string_view bytes, uint16_t status) {
  metrics_.add(Metric::HttpRequests);
  Session& session = make_session(connections_.id_of(record), first_line(bytes));
  Request& request = session.request_to_fill();
  request.refused_line = session.head();
  dispatcher_.introduce(request, record);
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

void HttpLayer::on_peer_gone(Record& record) {
  if (Session* session = session_of(connections_.id_of(record))) session->peer_gone();
}

void HttpLayer::on_drained(Record& record) {
  connections_.resume(record, record::kPauseOutbound);
  if (Session* session = session_of(connections_.id_of(record))) session->drained();
}

void HttpLayer::on_deadline(Record& record) {
  const record::ConnId id = connections_.id_of(record);
  if (Session* session = session_of(id)) return session->deadline_passed();
  if (connections_.outbound_queued(record) > 0) {
    metrics_.add(Metric::ClosesSendTimeout);
    return connections_.close_now(record);
  }
  if (record.carry_bytes > 0) return refuse_head(record, {connections_.arena().at(record.carry), record.carry_bytes}, 408);
  if (connections_.handshaking(record)) {
    on_insecure(record, {tls::HandshakeFailure::Kind::Timeout, "it was not completed in time"});
  } else if (record.keepalive_count == 0) {
    metrics_.add(Metric::ConnectionsRefusedTimeout);
  }
  connections_.close_gracefully(record);
}

bool HttpLayer::may_move(const Record& record) { return session_of(connections_.id_of(record)) == nullptr; }

// The scan of a head that has begun is made again from its bytes, but its time has begun already.
void HttpLayer::on_adopted(Record& record) {
  if (say_last_word(connections_, record)) return;
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
  metrics_.set(Metric::ConnectionsReading, scans_.size());
}

void HttpLayer::drain() {
  connections_.for_each([this](Record& record) {
    if (record.phase != record::Phase::Http || record.carry_bytes > 0) return;
    if (connections_.handshaking(record)) return;
    if (session_of(connections_.id_of(record)) == nullptr) connections_.close_gracefully(record);
  });
}

}  // namespace beamgate::http
