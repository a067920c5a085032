#include "worker/upstream/proxy_leg.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "worker/upstream/proxy_target.h"

namespace beamgate::upstream {
namespace {

using metrics::Metric;

// RFC 9110 section 9.2.2; TRACE never gets here.
bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" || method == "DELETE";
}

}  // namespace

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
      leg_.update_deadline();
    }
  }

 private:
  ProxyLeg& leg_;
};

ProxyLeg::ProxyLeg(const ProxyParts& parts, http::Exchange& exchange)
    : parts_(parts),
      id_(exchange.id()),
      location_(*exchange.request().location),
      proxy_(location_.proxy),
      chunked_(exchange.request().chunked),
      idempotent_(is_idempotent(exchange.request().method)),
      group_(parts.pool.group(proxy_.upstream)),
      parser_(exchange.request().method == "HEAD") {}

bool ProxyLeg::write_head(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  const Result<bool> keep = parts_.writer.write(request, exchange.record(), proxy_, out_.head());
  if (!keep.ok()) return false;
  keep_ = keep.value();
  out_.set_body_limit(proxy_.buffer_bytes);
  body_ended_ = !request.has_body();
  collecting_ = !body_ended_ && !chunked_ && *request.content_length <= proxy_.buffer_bytes;
  target_ = tls_target(request, exchange.record(), proxy_);
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
  release_peer();
}

// --- Finding a server.

// Ends with a connection, connected or on its way, or with the failure of the exchange.
void ProxyLeg::connect() {
  while (!detached_ && connection_ == nullptr) {
    if (peer_ == nullptr) {
      peer_ = group_.choose(tried_, monotonic_ms());
      if (peer_ == nullptr) return fail(failure_status_);
      ++peer_->in_use;
    }
    if ((!fresh_only_ && take_idle()) || open_fresh()) send_request();
  }
}

bool ProxyLeg::take_idle() {
  while (std::unique_ptr<Connection> idle = peer_->take_idle(target_)) {
    // What can't be repeated is worth a look whether the backend has just closed.
    if (!idempotent_ && !idle->is_quiet()) continue;
    use(std::move(idle), true);
    return true;
  }
  return false;
}

bool ProxyLeg::open_fresh() {
  auto opened = Connection::open(peer_->server().address, parts_.poller, parts_.deadlines, *this, target_);
  if (!opened.ok()) {
    peer_failed(opened.error());
    return false;
  }
  parts_.metrics.add(Metric::UpstreamConnectionsOpened);
  use(std::move(opened).value(), false);
  return true;
}

void ProxyLeg::use(std::unique_ptr<Connection> connection, bool reused) {
  connection_ = std::move(connection);
  connection_->set_user(*this);
  ++connection_->requests;
  reused_ = reused;
  sent_bytes_ = 0;
  send_broken_ = false;
  made_progress();
}

void ProxyLeg::connect_failed(const Error& error, uint16_t status) {
  failure_status_ = status;
  peer_failed(error);
  connect();
}

// This server is not asked again for this exchange.
void ProxyLeg::peer_failed(const Error& error) {
  parts_.metrics.add(Metric::UpstreamFailures);
  parts_.log.warn("upstream_failed", {{"upstream", proxy_.upstream->name},
                                      {"server", peer_->server().address.text},
                                      {"error", error.message()}});
  peer_->failed(monotonic_ms());
  tried_.push_back(peer_);
  release_peer();
}

void ProxyLeg::release_peer() {
  connection_.reset();
  if (peer_ != nullptr) --peer_->in_use;
  peer_ = nullptr;
}

// --- The request.

// Called from within the exchange: it must not be told to resume what it is just handing over.
size_t ProxyLeg::on_body(std::string_view bytes) {
  Entry entry(*this);
  size_t taken = 0;
  while (!body_discarded_ && taken < bytes.size()) {
    const size_t part = std::min(out_.body_room(), bytes.size() - taken);
    if (part == 0) break;
    out_.append_body(bytes.substr(taken, part), chunked_);
    taken += part;
    send_request();
  }
  if (body_discarded_) taken = bytes.size();
  body_paused_ = taken < bytes.size();
  return taken;
}

void ProxyLeg::on_body_end() {
  Entry entry(*this);
  if (body_ended_ || detached_) return;
  body_ended_ = true;
  if (body_discarded_) return;
  out_.append_end(chunked_);
  made_progress();
  if (collecting_) {
    collecting_ = false;
    connect();
  } else {
    send_request();
  }
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
      return;
    }
    out_.sent(sent.value());
    sent_bytes_ += sent.value();
    made_progress();
  }
  connection_->want_write(false);
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
    if (!connected.ok()) return connect_failed(connected.error(), 502);
    made_progress();
    send_request();
    return resume_body();
  }
  if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
    send_request();
    resume_body();
  }
  const bool readable = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
  if (readable && reading_ && connection_ != nullptr) read_response();
}

void ProxyLeg::on_connection_deadline(Connection&) {
  Entry entry(*this);
  const Error timeout{Code::Timeout, 0, "timed out"};
  if (connection_->is_connecting()) return connect_failed(timeout, 504);
  peer_failed(timeout);
  fail(504);
}

void ProxyLeg::on_client_writable() {
  Entry entry(*this);
  if (reading_ || connection_ == nullptr) return;
  reading_ = true;
  made_progress();
  connection_->want_read(true);
}

void ProxyLeg::read_response() {
  const Result<size_t> received = connection_->receive(parts_.landing);
  if (received.ok()) {
    made_progress();
    std::string_view body;
    const ResponseParser::State state = parser_.feed(parts_.landing.first(received.value()), body);
    return deliver(state, body);
  }
  if (received.error().code == Code::WouldBlock) return;
  // Only an orderly end may end a response that has no length; a reset never does.
  if (received.error().code == Code::Closed && parser_.end() == ResponseParser::State::Complete) {
    return deliver(ResponseParser::State::Complete, {});
  }
  connection_lost(received.error());
}

void ProxyLeg::deliver(ResponseParser::State state, std::string_view body) {
  using State = ResponseParser::State;
  if (state == State::Head) return;
  if (state == State::Invalid) return connection_lost({Code::Invalid, 0, "the response is invalid"});
  http::Exchange* client = exchange();
  if (client == nullptr) return release_peer();
  if (!begun_) begin_response(*client, state == State::Complete ? body.size() : SIZE_MAX);
  bool room = true;
  if (!body.empty() && (client = exchange()) != nullptr) room = client->write(body);
  if (state == State::Complete) return complete_response();
  if (send_broken_) discard_body();
  if (room || connection_ == nullptr) return;
  reading_ = false;
  connection_->want_read(false);
}

// A body that is here completely needs no chunks, whatever the backend thought.
void ProxyLeg::begin_response(http::Exchange& client, size_t whole_body_bytes) {
  begun_ = true;
  peer_->succeeded();
  http::ResponseHead& head = parser_.head();
  if (!head.content_length.has_value() && whole_body_bytes != SIZE_MAX && parser_.may_have_body()) {
    head.content_length = whole_body_bytes;
  }
  for (http::ResponseField& field : head.fields) {
    if (iequals(field.name, "location")) rewrite_location(location_, field.value);
  }
  client.begin(std::move(head));
}

// The connection first: the client's next request may be handled within finish().
void ProxyLeg::complete_response() {
  if (connection_ != nullptr && keep_ && parser_.reusable() && body_ended_ && out_.unsent().empty() &&
      !body_discarded_ && !send_broken_) {
    group_.keep(*peer_, std::move(connection_), monotonic_ms());
  }
  release_peer();
  body_discarded_ = true;
  if (http::Exchange* client = exchange()) client->finish();
}

void ProxyLeg::connection_lost(const Error& error) {
  if (!parser_.started() && may_repeat()) return repeat(error);
  parts_.metrics.add(Metric::UpstreamFailures);
  parts_.log.warn("upstream_response_failed", {{"upstream", proxy_.upstream->name},
                                               {"server", peer_->server().address.text},
                                               {"begun", begun_ ? "yes" : "no"},
                                               {"error", error.message()}});
  fail(502);
}

bool ProxyLeg::may_repeat() const { return out_.can_rewind() && (idempotent_ || sent_bytes_ == 0); }

void ProxyLeg::repeat(const Error& error) {
  if (reused_) {
    // That it was closed while idle says nothing about the server.
    connection_.reset();
    fresh_only_ = true;
  } else {
    peer_failed(error);
  }
  out_.rewind();
  connect();
}

void ProxyLeg::fail(uint16_t status) {
  release_peer();
  body_discarded_ = true;
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
  int64_t timeout_ms = 0;
  if (connection_->is_connecting()) {
    timeout_ms = proxy_.connect_timeout_ms;
  } else if (!out_.unsent().empty()) {
    timeout_ms = proxy_.send_timeout_ms;
  } else if (reading_ && (body_ended_ || body_discarded_)) {
    timeout_ms = proxy_.read_timeout_ms;
  }
  connection_->set_deadline(timeout_ms == 0 ? 0 : last_progress_ms_ + timeout_ms);
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
