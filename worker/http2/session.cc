#include "worker/http2/session.h"

#include <algorithm>
#include <utility>

#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "worker/http/client_address.h"
#include "worker/http/dispatcher.h"
#include "worker/http2/layer.h"
#include "worker/http2/tunnel.h"
#include "worker/net/proxy_header.h"
#include "worker/record/uid.h"

namespace beamgate::http2 {

using metrics::Metric;
using record::Record;

namespace {

constexpr size_t kHighWaterBytes = http::ServedExchange::kHighWaterBytes;
constexpr int kRoundsPerTurn = 64;

// A client of HTTP/2 has none, but a backend of HTTP/1 wants one.
std::string websocket_key() {
  char bytes[16];
  crypto::fill_random(bytes, sizeof bytes);
  return crypto::base64_encode({bytes, sizeof bytes});
}

}  // namespace

// --- Beginning and end.

std::unique_ptr<Session> Session::open(SessionParts& parts, Record& record) {
  std::unique_ptr<Session> session(new Session(parts, parts.connections.id_of(record)));
  return session->start(record) ? std::move(session) : nullptr;
}

bool Session::start(const Record& record) {
  if (nghttp2_session_server_new2(&native_, parts_.callbacks, this, parts_.options) != 0) return false;
  const config::Server& server = parts_.dispatcher.default_server(record.listen_id);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server.http2_streams_max},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(server.http2_window_bytes)},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(server.header_bytes_max)},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},  // They are ignored.
  };
  return nghttp2_submit_settings(native_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0 &&
         nghttp2_session_set_local_window_size(native_, NGHTTP2_FLAG_NONE, 0, kWindowBytes) == 0;
}

Session::~Session() { nghttp2_session_del(native_); }

void Session::gone() {
  for (auto& [id, stream] : std::exchange(streams_, {})) {
    stream->close();
    stream->end_exchange();
    parts_.layer.retire(std::move(stream));
  }
}

void Session::submit_goaway() {
  if (std::exchange(shut_down_, true)) return;
  const int32_t last = nghttp2_session_get_last_proc_stream_id(native_);
  nghttp2_submit_goaway(native_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
}

void Session::shut_down(Record& record) {
  submit_goaway();
  pump(record);
}

// Nothing more can come of the connection; GOAWAY says why, if there is still room for it.
void Session::fail(Record& record, int error) {
  uint32_t code = NGHTTP2_INTERNAL_ERROR;
  if (error == NGHTTP2_ERR_FLOODED) count(Flood::Unread);
  if (error == NGHTTP2_ERR_TOO_MANY_SETTINGS) count(Flood::Settings);
  if (error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) count(Flood::Continuations);
  if (error == NGHTTP2_ERR_BAD_CLIENT_MAGIC) code = NGHTTP2_PROTOCOL_ERROR;
  if (error == NGHTTP2_ERR_NOMEM) parts_.metrics.add(Metric::ClosesMemory);
  if (flooded_) code = NGHTTP2_ENHANCE_YOUR_CALM;
  nghttp2_session_terminate_session(native_, code);
  const record::ConnId id = connection_;
  static_cast<void>(frame_some(record));
  if (parts_.connections.find(id) != nullptr) parts_.connections.close_gracefully(record);
}

// --- Events of the connection.

void Session::receive(Record& record, std::string_view bytes) {
  ++depth_;
  const ssize_t used =
      nghttp2_session_mem_recv(native_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  --depth_;
  if (used < 0 || flooded_) return fail(record, static_cast<int>(used));
  pump(record);
}

void Session::peer_closed(Record& record) {
  // Without the client there is nobody to answer: what HTTP/2 half-closes are streams, not connections.
  parts_.connections.close_gracefully(record);
}

void Session::deadline_passed(Record& record) {
  const int64_t now = monotonic_ms();
  const config::Server& server = parts_.dispatcher.default_server(record.listen_id);
  if (stalled_since_ms_ != 0 && now >= stalled_since_ms_ + server.fallback.send_timeout_ms) {
    if (record.bytes_sent == sent_mark_) {
      parts_.metrics.add(metric_of(Flood::Unread));
      return parts_.connections.close_now(record);
    }
    stalled_since_ms_ = 0;
  }
  if (head_since_ms_ != 0 && now >= head_since_ms_ + server.header_timeout_ms) {
    parts_.metrics.add(Metric::RequestsRefusedTimeout);
    return fail(record, 0);
  }
  if (idle_since_ms_ != 0 && now >= idle_until_ms(record)) {
    if (record.keepalive_count == 0) parts_.metrics.add(Metric::ConnectionsRefusedTimeout);
    return shut_down(record);
  }
  std::vector<int32_t> due;
  for (const auto& [id, stream] : streams_) {
    if (stream->take_deadline(now)) due.push_back(id);
  }
  for (const int32_t id : due) {
    Stream* stream = find(id);
    if (stream != nullptr) stream->over() ? reset(*stream) : stream->deadline_passed();
  }
  pump(record);
}

// --- Output.

void Session::wants_pump() {
  if (depth_ > 0 || std::exchange(marked_, true)) return;
  parts_.layer.pump_later(*this);
}

void Session::pump(Record& record) {
  marked_ = false;
  const record::ConnId id = connection_;
  ++depth_;
  bool more = true;
  for (int round = 0; more && round < kRoundsPerTurn; ++round) {
    serve_ready();
    if (!frame_some(record)) {
      --depth_;
      parts_.metrics.add(Metric::ClosesMemory);
      return parts_.connections.close_now(record);
    }
    if (flooded_) {
      --depth_;
      return fail(record, 0);
    }
    // What the kernel has taken at once calls nobody back.
    const bool room_again = output_left_ && parts_.connections.outbound_queued(record) == 0;
    more = room_again || !drained_.empty() || !deliverable_.empty();
  }
  --depth_;
  if (more) wants_pump();  // The others have their turn first.
  if (parts_.connections.find(id) != nullptr && !finish_if_over(record)) update_deadline(record);
}

// What nghttp2 has to say, as far as the connection's queue has room.  False: the connection can't go on.
bool Session::frame_some(Record& record) {
  std::string& out = parts_.output;
  out.clear();
  const size_t queued = parts_.connections.outbound_queued(record);
  output_room_ = queued < kHighWaterBytes ? kHighWaterBytes - queued : 0;
  while (out.size() < output_room_) {
    const uint8_t* data = nullptr;
    const ssize_t bytes = nghttp2_session_mem_send(native_, &data);
    if (bytes < 0) return false;
    if (bytes == 0) break;
    out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(bytes));
  }
  output_left_ = out.size() >= output_room_;
  return out.empty() || parts_.connections.send_through(record, out);
}

// Handlers whose turn has come, of output or of input.
void Session::serve_ready() {
  for (const int32_t id : std::exchange(drained_, {})) {
    if (Stream* stream = find(id)) stream->output_drained();
  }
  for (const int32_t id : std::exchange(deliverable_, {})) {
    if (Stream* stream = find(id)) stream->deliver();
  }
}

// True: it has ended, and the connection with it.
bool Session::finish_if_over(Record& record) {
  const bool wants_write = nghttp2_session_want_write(native_) != 0;
  const bool over = !nghttp2_session_want_read(native_) || (shut_down_ && streams_.empty());
  if (!over || wants_write) return false;
  parts_.connections.close_gracefully(record);
  return true;
}

int64_t Session::idle_until_ms(const Record& record) const {
  const config::Server& server = parts_.dispatcher.default_server(record.listen_id);
  // Until its first request, a connection is as one that has not sent its head.
  const int64_t wait_ms = record.keepalive_count == 0 ? server.header_timeout_ms : server.fallback.keepalive_timeout_ms;
  return idle_since_ms_ + wait_ms;
}

void Session::update_deadline(Record& record) {
  const int64_t now = monotonic_ms();
  const config::Server& server = parts_.dispatcher.default_server(record.listen_id);
  int64_t at = INT64_MAX;
  if (head_since_ms_ != 0) at = head_since_ms_ + server.header_timeout_ms;
  if (!streams_.empty()) idle_since_ms_ = 0;
  if (streams_.empty() && idle_since_ms_ == 0) idle_since_ms_ = now;
  if (idle_since_ms_ != 0) at = std::min(at, idle_until_ms(record));
  if (parts_.connections.outbound_queued(record) == 0) {
    stalled_since_ms_ = 0;
  } else {
    if (stalled_since_ms_ == 0) {
      stalled_since_ms_ = now;
      sent_mark_ = record.bytes_sent;
    }
    at = std::min(at, stalled_since_ms_ + server.fallback.send_timeout_ms);
  }
  for (const auto& [id, stream] : streams_) {
    if (stream->deadline_ms() != 0) at = std::min(at, stream->deadline_ms());
  }
  parts_.connections.set_deadline(record, at == INT64_MAX ? 0 : at);
}

// --- For its streams.

bool Session::submit_response(Stream& stream, ResponseFields& fields, bool ends) {
  std::vector<nghttp2_nv>& list = fields.list();
  nghttp2_data_provider provider{};
  provider.source.ptr = &stream;
  provider.read_callback = Session::read_output;
  wants_pump();
  return nghttp2_submit_response(native_, stream.stream_id(), list.data(), list.size(),
                                 ends ? nullptr : &provider) == 0;
}

bool Session::submit_interim(Stream& stream, ResponseFields& fields) {
  std::vector<nghttp2_nv>& list = fields.list();
  wants_pump();
  return nghttp2_submit_headers(native_, NGHTTP2_FLAG_NONE, stream.stream_id(), nullptr, list.data(), list.size(),
                                nullptr) == 0;
}

void Session::output_ready(Stream& stream) {
  nghttp2_session_resume_data(native_, stream.stream_id());  // Which it may not have stopped.
  wants_pump();
}

void Session::deliver_later(Stream& stream) {
  deliverable_.push_back(stream.stream_id());
  wants_pump();
}

// Of a stream that has ended, the connection's share is given back.
void Session::consume(int32_t stream_id, size_t bytes) {
  if (bytes == 0) return;
  nghttp2_session_consume(native_, stream_id, bytes);
  wants_pump();
}

void Session::reset(Stream& stream) {
  nghttp2_submit_rst_stream(native_, NGHTTP2_FLAG_NONE, stream.stream_id(), NGHTTP2_INTERNAL_ERROR);
  wants_pump();
}

void Session::exchange_over(Stream& stream) {
  parts_.layer.forget(stream.number());
  parts_.dispatcher.log_outcome(stream, parts_.connections.arena().records()[stream.connection().slot]);
}

// --- Requests.

Stream* Session::find(int32_t stream_id) {
  const auto found = streams_.find(stream_id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void Session::begin_head() {
  const Record* record = parts_.connections.find(connection_);
  if (record == nullptr) return;
  head_ = std::make_unique<RequestHead>(parts_.dispatcher.head_limits(*record));
  if (head_since_ms_ == 0) head_since_ms_ = monotonic_ms();
}

void Session::end_head(int32_t stream_id, bool ends_stream) {
  const std::unique_ptr<RequestHead> head = std::move(head_);
  head_since_ms_ = 0;
  if (head == nullptr) return;
  Record* record = parts_.connections.find(connection_);
  if (record == nullptr) return;
  auto& slot = streams_[stream_id];
  slot = std::make_unique<Stream>(parts_.dispatcher.parts(), *this, stream_id);
  Stream& stream = *slot;
  nghttp2_session_set_stream_user_data(native_, stream_id, &stream);
  parts_.metrics.add(Metric::HttpRequests);
  http::Request& request = stream.request_to_fill();
  const std::string key = head->for_websocket() ? websocket_key() : std::string();
  http::Verdict verdict = head->read(!ends_stream, key, stream.head(), request);
  parts_.dispatcher.introduce(request, *record);
  const Record* own = nullptr;
  if (verdict.good() && head->for_websocket()) {
    // What may become a WebSocket is a connection of its own from the start, for its webhooks and limits.
    auto tunnel = std::make_unique<Tunnel>(stream);
    Tunnel* const link = tunnel.get();
    own = parts_.connections.adopt_stream(std::move(tunnel), *record);
    if (own != nullptr) stream.set_tunnel(link);
    if (own == nullptr) verdict = {503, "too many connections"};
    // Its record has no socket to ask where the client has come to, which a PROXY header may have to tell.
    record::Endpoint& destination = request.announced.destination;
    if (destination.family == 0) destination = net::local_endpoint(record->fd);
  }
  stream.begin(own == nullptr ? connection_ : parts_.connections.id_of(*own), parts_.dispatcher.next_number());
  parts_.layer.remember(stream);
  if (verdict.good()) {
    parts_.dispatcher.dispatch(stream);
  } else {
    parts_.dispatcher.log_refused(request, *record, verdict.reason);
    const bool full = verdict.status == 503;  // Which is counted as a connection.
    full ? stream.turn_away(verdict.status) : stream.refuse(verdict.status);
  }
  if (Stream* still = find(stream_id); still != nullptr && ends_stream) still->receive_end();
}

void Session::stream_closed(int32_t stream_id) {
  const auto found = streams_.find(stream_id);
  if (found == streams_.end()) return;
  std::unique_ptr<Stream> stream = std::move(found->second);
  streams_.erase(found);
  stream->close();
  stream->end_exchange();
  parts_.layer.retire(std::move(stream));
  // Behind the answer: some clients take GOAWAY for the end of everything.
  const Record* record = parts_.connections.find(connection_);
  if (record == nullptr) return;
  const config::Location& settings = parts_.dispatcher.default_server(record->listen_id).fallback;
  if (record->keepalive_count >= settings.keepalive_requests || settings.keepalive_timeout_ms == 0) submit_goaway();
}

bool Session::count(Flood flood) {
  if (flood < Flood::Continuations && guard_.allow(flood, monotonic_ms())) return true;
  if (std::exchange(flooded_, true)) return false;
  parts_.metrics.add(metric_of(flood));
  const Record* record = parts_.connections.find(connection_);
  const std::string client = record == nullptr ? "" : http::ClientAddress::of(*record).text();
  const std::string connection = record::format_uid_or_none(record == nullptr ? 0 : record->uid);
  parts_.log.info("http2_flood", {{"connection", connection}, {"client", client}, {"of", metrics::name_of(metric_of(flood))}});
  return false;
}

}  // namespace beamgate::http2
