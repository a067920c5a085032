#include "worker/upstream/proxy_leg.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "worker/record/uid.h"
#include "worker/upstream/pick_key.h"
#include "worker/upstream/proxy_target.h"

namespace beamgate::upstream {

using metrics::Metric;

// Keeps the leg alive while one of its functions runs: any call into the exchange may end the exchange.
// Must be the first local variable, so that it is the last to go.
class ProxyLeg::Entry {
 public:
  explicit Entry(ProxyLeg& leg) : leg_(leg) { ++leg_.depth_; }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;
  ~Entry() {
    if (--leg_.depth_ > 0) return;
    if (leg_.detached_) {
      leg_.parts_.legs.remove(leg_);
    } else {
      leg_.trace_progress();
      leg_.update_deadline();
    }
  }

 private:
  ProxyLeg& leg_;
};

ProxyLeg::ProxyLeg(const ProxyParts& parts, const BackendProtocol& protocol, http::Exchange& exchange)
    : parts_(parts),
      id_(exchange.id()),
      uid_(exchange.record().uid),
      protocol_(protocol),
      settings_(protocol.settings(*exchange.request().location)),
      held_(protocol.sends_body(exchange.request()) &&
            (settings_.request_buffering || protocol.needs_length(exchange.request()))),
      framing_(protocol.framing(exchange.request(), held_)),
      attempts_(settings_, upstream::is_idempotent(exchange.request().method), monotonic_ms()),
      idempotent_(upstream::is_idempotent(exchange.request().method)),
      group_(parts.pool.group(upstream_of(exchange.request(), settings_))) {}

bool ProxyLeg::write_head(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  const auto written = protocol_.write_head(request, exchange.record(), {}, out_.head());
  if (!written.ok()) return false;
  keep_ = written.value().keep;
  upgrade_ = written.value().upgrade;
  key_ = pick_key(group_.upstream().balancing, request, exchange.record());
  out_.set_body_limit(settings_.buffer_bytes);
  if (held_) out_.hold(settings_.temp_path);
  body_ended_ = !protocol_.sends_body(request);
  body_discarded_ = body_ended_ && request.has_body();
  collecting_ = held_ || (!body_ended_ && request.content_length.has_value() &&
                          *request.content_length <= settings_.buffer_bytes);
  may_reuse_ = protocol_.may_reuse(request);
  target_ = protocol_.target(request, exchange.record());
  return true;
}

void ProxyLeg::start() {
  Entry entry(*this);
  parts_.metrics.add(Metric::UpstreamRequests);
  if (!collecting_) connect();
}

http::Exchange* ProxyLeg::exchange() { return detached_ ? nullptr : parts_.exchanges.find(id_); }

void ProxyLeg::detach() {
  Entry entry(*this);
  detached_ = true;
  release_peer(monotonic_ms());
}

// --- Finding a server.

// Ends with a connection, connected or on its way, or with the failure of the exchange.  Last in its caller: a body that
// waited for the connection before may come from within.
void ProxyLeg::connect() {
  while (!is_over() && connection_ == nullptr && exchange() != nullptr) {
    if (peer_ == nullptr) {
      const int64_t now_ms = monotonic_ms();
      Peer* chosen = group_.choose({tried_, now_ms, key_});
      if (chosen == nullptr) {
        if (tried_.empty()) begin_attempt(group_.upstream().name, now_ms, failure_status_);
        return give_up(failure_status_);
      }
      take_peer(*chosen, now_ms);
    }
    if ((may_reuse_ && !fresh_only_ && take_idle()) || open_fresh()) send_request();
  }
  if (connection_ != nullptr && !connection_->is_connecting()) resume_body();
}

void ProxyLeg::take_peer(Peer& peer, int64_t now_ms) {
  peer_ = &peer;
  ++peer_->in_use;
  if (!tried_.empty()) parts_.metrics.add(Metric::UpstreamRetries);
  attempts_.begin();
  begin_attempt(peer.server().address.text, now_ms, 0);
  fresh_only_ = false;
}

void ProxyLeg::begin_attempt(const std::string& server, int64_t now_ms, uint16_t status) {
  http::Exchange* client = exchange();
  if (client == nullptr) return;
  auto& all = client->trace().attempts;
  progress_ = {.status = status, .began_ms = now_ms};
  all.push_back({progress_, server, tried_.empty() && !all.empty()});
}

void ProxyLeg::trace_progress() {
  if (progress_.began_ms == 0 || over_) return;
  if (http::Exchange* client = exchange()) static_cast<http::UpstreamProgress&>(client->trace().attempts.back()) = progress_;
}

bool ProxyLeg::take_idle() {
  while (std::unique_ptr<Connection> idle = peer_->take_idle(protocol_, target_)) {
    // What can't be repeated is worth a look whether the backend has just closed.
    if (!idempotent_ && !idle->is_quiet()) continue;
    use(std::move(idle), true);
    return true;
  }
  return false;
}

// False: it is over, or there is another server to try.
bool ProxyLeg::open_fresh() {
  auto opened = Connection::open(peer_->server().address, parts_.poller, parts_.deadlines, *this, target_);
  if (!opened.ok()) {
    attempt_failed({Metric::UpstreamFailuresConnect, config::kNextError, 502}, opened.error());
    return false;
  }
  parts_.metrics.add(Metric::UpstreamConnectionsOpened);
  opened.value()->protocol = &protocol_;
  use(std::move(opened).value(), false);
  return true;
}

void ProxyLeg::use(std::unique_ptr<Connection> connection, bool reused) {
  connection_ = std::move(connection);
  connection_->set_user(*this);
  ++connection_->requests;
  reader_ = protocol_.make_reader(exchange()->request(), upgrade_);
  reused_ = reused;
  chosen_us_ = monotonic_us();
  sent_bytes_ = 0;
  send_since_ms_ = 0;
  send_broken_ = false;
  made_progress();
  if (!connection_->is_connecting()) progress_.connected_ms = last_progress_ms_;
}

void ProxyLeg::count_failure(Metric why, const Error& error) {
  parts_.metrics.add(why);
  parts_.log.warn("upstream_failed", {{"connection", record::format_uid(uid_)}, {"upstream", group_.upstream().name},
                                      {"server", peer_->server().address.text},
                                      {"begun", begun_ ? "yes" : "no"},
                                      {"error", error.message()}});
}

void ProxyLeg::release_peer(int64_t now_ms) {
  connection_.reset();
  if (peer_ == nullptr) return;
  progress_.ended_ms = now_ms;
  trace_progress();
  if (tunnel_) parts_.metrics.subtract(Metric::UpstreamTunnelsActive);
  --peer_->in_use;
  peer_ = nullptr;
}

// --- The request.

// Called from within the exchange: it must not be told to resume what it is just handing over.
size_t ProxyLeg::on_body(std::string_view bytes) {
  Entry entry(*this);
  size_t taken = tunnel_ ? send_in_tunnel(bytes) : 0;
  while (!body_discarded_ && taken < bytes.size()) {
    const size_t part = std::min(out_.body_room(), bytes.size() - taken);
    if (part == 0) break;
    const Result<void> appended = out_.append_body(bytes.substr(taken, part), framing_);
    if (!appended.ok()) {
      body_lost(appended.error());
      break;
    }
    taken += part;
    send_request();
  }
  if (body_discarded_) taken = bytes.size();
  body_paused_ = taken < bytes.size();
  return taken;
}

void ProxyLeg::on_body_end() {
  Entry entry(*this);
  if (body_ended_ || is_over()) return;
  body_ended_ = true;
  if (body_discarded_) return;
  if (held_ && !tunnel_ && !finish_head()) return;
  const Result<void> appended = out_.append_end(framing_);
  if (!appended.ok()) return body_lost(appended.error());
  made_progress();
  if (collecting_) {
    collecting_ = false;
    connect();
  } else {
    send_request();
  }
}

// Its file could not be written, or not be read.
void ProxyLeg::body_lost(const Error& error) {
  if (!begun_) parts_.metrics.add(Metric::RequestsRefusedBodyLost);
  parts_.log.error("request_body_lost", {{"connection", record::format_uid(uid_)}, {"path", settings_.temp_path}, {"error", error.message()}});
  fail(500);
}

// The length of a body that came in chunks is known now.
bool ProxyLeg::finish_head() {
  http::Exchange* client = exchange();
  if (client == nullptr) return false;
  std::string head;
  const auto written = protocol_.write_head(client->request(), client->record(), out_.body_bytes(), head);
  if (!written.ok()) {
    parts_.metrics.add(Metric::RequestsRefusedNotPassedOn);
    fail(400);
    return false;
  }
  out_.replace_head(head);
  return true;
}

// As much as the backend takes.  A failure is not acted upon here: an answer may have come before it, and
// the connection will be reported readable.
void ProxyLeg::send_request() {
  if (connection_ == nullptr || connection_->is_connecting() || send_broken_) return;
  while (!out_.unsent().empty()) {
    const Result<size_t> sent = connection_->send(out_.unsent());
    if (!sent.ok()) {
      send_broken_ = sent.error().code != Code::WouldBlock;
      connection_->want_write(!send_broken_);
      if (send_since_ms_ == 0) send_since_ms_ = monotonic_ms();
      return;
    }
    send_since_ms_ = 0;
    sent_bytes_ += sent.value();
    progress_.bytes_sent += sent.value();
    made_progress();
    const Result<void> refilled = out_.sent(sent.value());
    if (!refilled.ok()) return body_lost(refilled.error());
  }
  connection_->want_write(false);
  if (tunnel_ && body_ended_) connection_->shut_write();
}

void ProxyLeg::resume_body() {
  if (!body_paused_ || (!body_discarded_ && out_.body_room() == 0)) return;
  body_paused_ = false;
  if (http::Exchange* client = exchange()) client->resume_body();
}

void ProxyLeg::discard_body() {
  if (body_discarded_) return;
  body_discarded_ = true;
  out_.drop_all();
  resume_body();
}

// --- The response.

void ProxyLeg::on_connection_ready(Connection&, uint32_t events) {
  Entry entry(*this);
  if (connection_->is_connecting()) {
    const Result<void> connected = connection_->finish_connect();
    if (!connected.ok()) {
      const Metric why = connection_->has_reached() ? Metric::UpstreamFailuresTls : Metric::UpstreamFailuresConnect;
      attempt_failed({why, config::kNextError, 502}, connected.error());
      return connect();
    }
    made_progress();
    progress_.connected_ms = last_progress_ms_;
    send_request();
    return resume_body();
  }
  if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
    send_request();
    resume_body();
  }
  const bool readable = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
  if (!readable || !reading_ || connection_ == nullptr) return;
  if (tunnel_) return read_in_tunnel();
  read_response();
}

void ProxyLeg::on_connection_deadline(Connection&) {
  Entry entry(*this);
  if (tunnel_) {
    parts_.metrics.add(Metric::ClosesIdle);
    return end_tunnel();
  }
  attempt_failed({Metric::UpstreamFailuresTimeout, config::kNextTimeout, 504}, {Code::Timeout, 0, "timed out"});
  connect();
}

void ProxyLeg::on_client_writable() {
  Entry entry(*this);
  if (reading_ || connection_ == nullptr) return;
  reading_ = true;
  made_progress();
  last_read_ms_ = last_progress_ms_;
  connection_->want_read(true);
}

void ProxyLeg::read_response() {
  const Result<size_t> received = connection_->receive(parts_.landing);
  if (received.ok()) {
    made_progress();
    progress_.bytes_received += received.value();
    std::string_view body;
    const http::ResponseReader::State state = reader_->feed(parts_.landing.first(received.value()), body);
    return deliver(state, body);
  }
  if (received.error().code == Code::WouldBlock) return;
  if (received.error().code == Code::Closed && reader_->end() == http::ResponseReader::State::Complete) {
    return deliver(http::ResponseReader::State::Complete, {});
  }
  connection_lost(received.error());
}

void ProxyLeg::deliver(http::ResponseReader::State state, std::string_view body) {
  using State = http::ResponseReader::State;
  log_errors();
  pass_interims();
  if (state == State::Head || connection_ == nullptr) return;
  if (state == State::Invalid) return response_invalid();
  http::Exchange* client = exchange();
  if (client == nullptr) return release_peer(monotonic_ms());
  if (!begun_) note_head(*client);
  progress_.body_bytes += body.size();
  if (state == State::Switched) return begin_tunnel(*client, body);
  if (!begun_) {
    if (pass_to_another()) return connect();
    if (intercepts(*client)) return fail(reader_->head().status);
    begin_response(*client, state == State::Complete ? body.size() : SIZE_MAX);
  }
  bool room = true;
  if (!body.empty() && (client = exchange()) != nullptr) room = client->write(body);
  if (state == State::Complete) return complete_response();
  if (send_broken_) discard_body();
  if (room || connection_ == nullptr) return;
  reading_ = false;
  connection_->want_read(false);
}

void ProxyLeg::note_head(http::Exchange& client) {
  const http::ResponseHead& head = reader_->head();
  progress_.head_ms = last_progress_ms_;
  progress_.status = head.status;
  const config::Config* config = client.request().config.get();
  if (config != nullptr && config->http.traces_upstream_fields) client.trace().upstream_fields = head.fields;
}

void ProxyLeg::response_invalid() {
  const http::ResponseReader::Failure failure = reader_->failure();
  // "Untouched" is what FastCGI has for a 503.
  const Metric why = failure.untouched ? Metric::UpstreamFailuresStatus : Metric::UpstreamFailuresMalformed;
  attempt_failed({why, failure.reason, failure.status, failure.untouched}, {Code::Invalid, 0, failure.text});
  connect();
}

void ProxyLeg::log_errors() {
  const std::string text = reader_->take_errors();
  if (text.empty()) return;
  parts_.log.error("upstream_stderr", {{"connection", record::format_uid(uid_)}, {"upstream", group_.upstream().name},
                                       {"server", peer_->server().address.text},
                                       {"text", text}});
}

void ProxyLeg::pass_interims() {
  for (http::ResponseHead& interim : reader_->take_interims()) {
    http::Exchange* client = exchange();
    if (client == nullptr || begun_) return;
    protocol_.fit_fields(client->request(), client->record(), interim.fields);
    client->inform(interim.status, interim.fields);
  }
}

// A status that "proxy_next_upstream" lists: true when there is another server, which is then chosen.  Else
// the client gets this answer.
bool ProxyLeg::pass_to_another() {
  const uint16_t status = reader_->head().status;
  const uint32_t reason = next_upstream_bit(status);
  if ((settings_.next_upstream & reason) == 0) return peer_->succeeded(monotonic_ms()), false;
  if (is_server_failure(status)) {
    peer_->failed(monotonic_ms());
    count_failure(Metric::UpstreamFailuresStatus, {Code::Invalid, 0, "it answered with a status of proxy_next_upstream"});
  }
  if (!out_.can_rewind() || !attempts_.may_go_on(reason, sent_bytes_ > 0, monotonic_ms())) return false;
  tried_.push_back(peer_);
  const int64_t now_ms = monotonic_ms();
  Peer* other = group_.choose({tried_, now_ms, key_});
  if (other == nullptr) return false;
  release_peer(now_ms);
  out_.rewind();
  take_peer(*other, now_ms);
  return true;
}

// "proxy_intercept_errors" and fastcgi's: error_page answers instead.
bool ProxyLeg::intercepts(http::Exchange& client) const {
  const uint16_t status = reader_->head().status;
  return settings_.intercept_errors && status >= 300 && client.has_error_page(status);
}

// A body that is here completely needs no chunks, whatever the backend thought.
void ProxyLeg::begin_response(http::Exchange& client, size_t whole_body_bytes) {
  begun_ = true;
  parts_.metrics.observe(metrics::Histogram::UpstreamDuration, monotonic_us() - chosen_us_);
  http::ResponseHead& head = reader_->head();
  const bool whole = whole_body_bytes != SIZE_MAX && !reader_->has_trailers();
  if (!head.content_length.has_value() && whole && reader_->may_have_body()) {
    head.content_length = whole_body_bytes;
  }
  protocol_.fit_fields(client.request(), client.record(), head.fields);
  client.begin(std::move(head));
}

// The connection first: the client's next request may be handled within finish().
void ProxyLeg::complete_response() {
  const std::vector<http::ResponseField> trailers = reader_->take_trailers();
  const int64_t now_ms = monotonic_ms();
  if (connection_ != nullptr && keep_ && reader_->reusable() && body_ended_ && out_.unsent().empty() &&
      !body_discarded_ && !send_broken_) {
    group_.keep(*peer_, std::move(connection_), now_ms);
  }
  release_peer(now_ms);
  body_discarded_ = over_ = true;
  if (http::Exchange* client = exchange()) client->finish_with_trailers(trailers);
}

void ProxyLeg::connection_lost(const Error& error) {
  const bool silent = !begun_ && !reader_->started();
  if (silent && reused_ && out_.can_rewind() && attempts_.may_repeat(sent_bytes_ > 0)) {
    parts_.metrics.add(Metric::UpstreamRetries);
    connection_.reset();
    fresh_only_ = true;
    out_.rewind();
    return connect();
  }
  attempt_failed({Metric::UpstreamFailuresClosed, config::kNextError, 502}, error);
  connect();
}

// This server is not asked again for this exchange.  It ends with it, unless another one may be.
void ProxyLeg::attempt_failed(const Failed& failed, const Error& error) {
  count_failure(failed.why, error);
  const int64_t now_ms = monotonic_ms();
  const bool sent = sent_bytes_ > 0 && !failed.untouched;
  // That a kept connection was closed before an answer says nothing about the server.
  const bool stale = failed.reason == config::kNextError && reused_ && connection_ != nullptr && !reader_->started();
  if (!stale) peer_->failed(now_ms);
  tried_.push_back(peer_);
  if (progress_.status == 0) progress_.status = failed.status;
  release_peer(now_ms);
  sent_bytes_ = 0;
  failure_status_ = failed.status;
  if (begun_ || !out_.can_rewind() || !attempts_.may_go_on(failed.reason, sent, now_ms)) return give_up(failed.status);
  out_.rewind();
}

// No server has an answer.
void ProxyLeg::give_up(uint16_t status) {
  if (!begun_) parts_.metrics.add(Metric::RequestsRefusedUnreachable);
  fail(status);
}

void ProxyLeg::fail(uint16_t status) {
  release_peer(monotonic_ms());
  body_discarded_ = over_ = true;
  http::Exchange* client = exchange();
  if (client == nullptr) return;
  if (begun_) {
    client->abort();
  } else {
    begun_ = true;
    client->respond_status(status);
  }
}

// --- Time.

void ProxyLeg::made_progress() { last_progress_ms_ = monotonic_ms(); }

// While the client is the one to wait for, its own timeouts apply.
void ProxyLeg::update_deadline() {
  if (connection_ == nullptr) return;
  int64_t at_ms = 0;
  if (connection_->is_connecting()) {
    at_ms = last_progress_ms_ + settings_.connect_timeout_ms;
  } else if (!out_.unsent().empty()) {
    at_ms = (send_since_ms_ != 0 ? send_since_ms_ : monotonic_ms()) + settings_.send_timeout_ms;
  } else if (!tunnel_ && reading_ && (body_ended_ || body_discarded_)) {
    at_ms = last_progress_ms_ + settings_.read_timeout_ms;
  }
  if (tunnel_ && reading_) {
    const int64_t idle_at_ms = last_read_ms_ + settings_.read_timeout_ms;
    at_ms = at_ms == 0 ? idle_at_ms : std::min(at_ms, idle_at_ms);
  }
  connection_->set_deadline(at_ms);
}

// --- All legs.

ProxyLeg& ProxyLegs::add(std::unique_ptr<ProxyLeg> leg) {
  leg->index_ = legs_.size();
  legs_.push_back(std::move(leg));
  return *legs_.back();
}

void ProxyLegs::remove(ProxyLeg& leg) {
  const size_t index = leg.index_;
  const std::unique_ptr<ProxyLeg> leaving = std::move(legs_[index]);
  if (index + 1 < legs_.size()) {
    legs_[index] = std::move(legs_.back());
    legs_[index]->index_ = index;
  }
  legs_.pop_back();
}

}  // namespace beamgate::upstream
