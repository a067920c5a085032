#include "worker/http2/stream.h"

#include <utility>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "worker/http2/session.h"
#include "worker/http2/tunnel.h"

namespace beamgate::http2 {
namespace {

constexpr int64_t kLastBytesMs = 10'000;  // For the client to take what a WebSocket has left.

}  // namespace

// --- The request.

bool Stream::too_large(size_t more) const {
  const uint64_t max = request_.location == nullptr ? 0 : request_.location->body_bytes_max;
  return max > 0 && body_state_ == BodyState::Reading && !request_.upgrade_websocket && body_received_ + more > max;
}

void Stream::receive(std::string_view data) {
  if (upgraded_) {
    in_.add(data);
    return parts_.connections.stream_changed(connection());
  }
  const Busy busy(*this);
  if (!live() || body_state_ == BodyState::Broken || too_large(data.size())) {
    session_.consume(stream_id_, data.size());
    if (live() && body_state_ != BodyState::Broken) refuse(413);
    return;
  }
  body_received_ += data.size();
  in_.add(data);
  deliver();
}

void Stream::receive_end() {
  const Busy busy(*this);
  end_received_ = true;
  if (upgraded_) return parts_.connections.stream_changed(connection());
  deliver();
}

void Stream::deliver() {
  if (delivering_ || !live()) return;
  delivering_ = true;
  const Busy busy(*this);
  bool go_on = true;
  while (live() && !stopped_ && go_on && !in_.empty() && body_state_ == BodyState::Reading) {
    const size_t taken = give_body(in_.front(), go_on);
    in_.took(taken);
    session_.consume(stream_id_, taken);
  }
  if (live() && body_state_ == BodyState::Reading && in_.empty()) {
    if (end_received_ && !end_given_) {
      end_given_ = true;
      request_.upgrade_websocket ? peer_closed() : end_body();
    } else if (!stopped_) {
      arm_deadline();
    }
  }
  delivering_ = false;
}

void Stream::go_on_reading() {
  stopped_ = false;
  if (!in_.empty() || end_received_) session_.deliver_later(*this);
}

void Stream::set_deadline(int64_t at_ms) {
  deadline_ms_ = at_ms;
  session_.deadline_changed();
}

bool Stream::take_deadline(int64_t now_ms) {
  if (deadline_ms_ == 0 || deadline_ms_ > now_ms) return false;
  deadline_ms_ = 0;
  return true;
}

// What counts a request for a WebSocket goes on to count the WebSocket.
bool Stream::count_for(uint64_t key, uint32_t limit) {
  if (tunnel_ != nullptr) return parts_.connections.count_for(record(), key, limit);
  const auto entry = parts_.connections.count_key(key, limit);
  if (entry.has_value()) counts_.push_back(*entry);
  return entry.has_value();
}

void Stream::uncount() {
  if (tunnel_ != nullptr) parts_.connections.uncount(record());
  for (const uint32_t entry : counts_) parts_.connections.uncount_key(entry);
  counts_.clear();
}

// --- The response.

bool Stream::send_head(const http::ResponseHead& head, const http::ResponseContext& context, std::string_view body,
                       bool ends) {
  if (closed_) return false;
  ResponseFields& fields = session_.fields();
  fields.clear();
  fields.add_head(head, context);
  out_.add(body);
  ended_ = ends;
  return session_.submit_response(*this, fields, ends && body.empty());
}

bool Stream::send_interim(uint16_t status, const std::vector<http::ResponseField>& fields) {
  if (closed_) return false;
  ResponseFields& list = session_.fields();
  list.clear();
  list.add_status(status);
  list.add_all(fields);
  return session_.submit_interim(*this, list);
}

bool Stream::send_bytes(std::string_view bytes) {
  if (closed_) return false;
  out_.add(bytes);
  session_.output_ready(*this);
  return true;
}

bool Stream::frame_end(const std::vector<http::ResponseField>& trailers) {
  if (ended_) return true;
  if (closed_) return false;
  ended_ = true;
  trailers_ = trailers;
  session_.output_ready(*this);
  return true;
}

void Stream::sent(size_t bytes) {
  out_.took(bytes);
  sent_bytes_ += bytes;
}

// --- WebSockets.

// A 2xx would say that the tunnel is there.
uint16_t Stream::fit_status(uint16_t status) const {
  return tunnel_ != nullptr && status >= 200 && status < 300 ? 501 : status;
}

// 101 is 200 here, and nothing proves that the key was seen (RFC 8441 section 5).
bool Stream::send_switching(const std::vector<http::ResponseField>& fields) {
  if (closed_ || tunnel_ == nullptr) return false;
  ResponseFields& list = session_.fields();
  list.clear();
  list.add_status(200);
  for (const http::ResponseField& field : fields) {
    if (!iequals(field.name, "sec-websocket-accept")) list.add(field.name, field.value);
  }
  return session_.submit_response(*this, list, false);
}

bool Stream::part() {
  if (tunnel_ != nullptr) return true;
  if (closed_) return false;
  auto tunnel = std::make_unique<Tunnel>(*this);
  Tunnel* const link = tunnel.get();
  const record::Record* own = parts_.connections.adopt_stream(std::move(tunnel), record());
  if (own == nullptr) return false;
  tunnel_ = link;
  move_to(parts_.connections.id_of(*own));
  return true;
}

void Stream::hand_over(record::Phase phase) {
  record::Record& own = record();
  const record::ConnId id = connection();
  upgraded_ = true;
  end_exchange();
  parts_.connections.set_deadline(own, 0);
  parts_.connections.enter_phase(own, phase);
  if (parts_.connections.find(id) != nullptr) parts_.connections.begin_stream(own);
}

void Stream::took_input(size_t bytes) {
  in_.took(bytes);
  session_.consume(stream_id_, bytes);
}

void Stream::output_drained() {
  if (upgraded_) return parts_.connections.stream_changed(connection());
  drained();
}

// The record has gone.  Whatever the other side still wants to say, nobody hears it.
void Stream::tunnel_ended() {
  tunnel_ = nullptr;
  if (!upgraded_) {
    if (!closed_ && !over_) session_.reset(*this);
    return end_exchange();
  }
  if (closed_) return;
  if (!(ended_ && end_received_)) return session_.reset(*this);
  set_deadline(monotonic_ms() + kLastBytesMs);
}

void Stream::open_tunnel() { go_on_reading(); }

// --- The end.

void Stream::settle() {
  const Next next = this->next();
  if (over_) return;
  switch (next) {
    case Next::Wait:
    case Next::LetGo:
      return;
    case Next::Discard:
    case Next::Keep:
      break;
    case Next::Close:
    case Next::Reset:
      // A whole response may be followed by the request's rest, which nobody wants; a cut one must be seen to be.
      if (response_ == ResponseState::Cut && !closed_) session_.reset(*this);
      break;
  }
  end_exchange();
}

void Stream::end_exchange() {
  if (over_) return;
  over_ = true;
  if (!upgraded_) uncount();
  session_.exchange_over(*this);
  lose();
  deadline_ms_ = 0;
  if (upgraded_) return;
  if (!in_.empty()) session_.consume(stream_id_, in_.size());
  in_.clear();
  if (tunnel_ != nullptr) parts_.connections.close_now(record());
}

void Stream::close() {
  closed_ = true;
  if (upgraded_) uncount();
  if (tunnel_ == nullptr || !upgraded_) return;
  std::exchange(tunnel_, nullptr)->stream_ended();
  parts_.connections.stream_changed(connection());
}

}  // namespace beamgate::http2
