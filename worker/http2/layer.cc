#include "worker/http2/layer.h"

#include <utility>

#include "common/base/clock.h"

namespace beamgate::http2 {

using metrics::Metric;
using record::Record;

namespace {

constexpr uint32_t kOutboundBytesMax = 16 << 20;  // As HTTP/1; what is framed stays far below it.

}  // namespace

Layer::Layer(net::Connections& connections, http::Dispatcher& dispatcher, metrics::Page& metrics, log::Log& log)
    : connections_(connections),
      metrics_(metrics),
      parts_{.layer = *this, .connections = connections, .dispatcher = dispatcher, .metrics = metrics, .log = log} {
  dispatcher.set_carrier(record::Phase::Http2, *this);
  nghttp2_session_callbacks_new(&parts_.callbacks);
  Session::set_callbacks(parts_.callbacks);
  nghttp2_option_new(&parts_.options);
  // Windows are opened as handlers take what has come, never before.
  nghttp2_option_set_no_auto_window_update(parts_.options, 1);
  nghttp2_option_set_no_closed_streams(parts_.options, 1);
}

Layer::~Layer() {
  reap();
  sessions_.clear();
  nghttp2_option_del(parts_.options);
  nghttp2_session_callbacks_del(parts_.callbacks);
}

Session* Layer::session_of(const Record& record) {
  const uint32_t slot = connections_.id_of(record).slot;
  return slot < sessions_.size() ? sessions_[slot].get() : nullptr;
}

http::ServedExchange* Layer::exchange_of(http::ExchangeId id) {
  const auto found = streams_.find(id.number);
  return found != streams_.end() && found->second->connection() == id.connection ? found->second : nullptr;
}

// --- Events.

void Layer::on_enter(Record& record) {
  record.outbound_limit = kOutboundBytesMax;
  const uint32_t slot = connections_.id_of(record).slot;
  if (slot >= sessions_.size()) sessions_.resize(slot + 1);
  sessions_[slot] = Session::open(parts_, record);
  metrics_.add(Metric::Http2Connections);
  metrics_.add(Metric::Http2ConnectionsActive);
  if (sessions_[slot] == nullptr) {
    metrics_.add(Metric::ClosesMemory);
    return connections_.close_now(record);
  }
  sessions_[slot]->pump(record);
}

size_t Layer::on_bytes(Record& record, std::span<const char> bytes) {
  if (connections_.outbound_queued(record) > http::ServedExchange::kHighWaterBytes) {
    // It demands answers and doesn't read them.
    connections_.pause(record, record::kPauseOutbound);
    return 0;
  }
  session_of(record)->receive(record, {bytes.data(), bytes.size()});
  reap();
  return bytes.size();
}

// A stream's record, which may become a WebSocket's, is here only to be found: it has no session, and no events.
void Layer::on_end(Record& record) {
  if (Session* session = session_of(record)) session->peer_closed(record);
}

void Layer::on_drained(Record& record) {
  connections_.resume(record, record::kPauseOutbound);
  if (Session* session = session_of(record)) session->pump(record);
}

void Layer::on_deadline(Record& record) {
  if (Session* session = session_of(record)) session->deadline_passed(record);
}

// Also of a connection that a dead worker has left: there is no session then.
void Layer::on_gone(Record& record) {
  const uint32_t slot = connections_.id_of(record).slot;
  if (session_of(record) == nullptr) return;
  metrics_.subtract(Metric::Http2ConnectionsActive);
  std::unique_ptr<Session> session = std::move(sessions_[slot]);
  session->gone();
  retired_sessions_.push_back(std::move(session));
}

// --- The worker's loop.

bool Layer::end_turn() {
  bool any = false;
  for (const record::ConnId id : std::exchange(pumped_, {})) {
    Record* record = connections_.find(id);
    if (record == nullptr || record->phase != record::Phase::Http2) continue;
    Session* session = session_of(*record);
    if (session == nullptr) continue;
    any = true;
    connections_.serve(*record, ipc::Doing::Writing, [&] { session->pump(*record); });
  }
  reap();
  return any || !pumped_.empty();
}

void Layer::drain() {
  connections_.for_each([this](Record& record) {
    if (record.phase != record::Phase::Http2) return;
    if (Session* session = session_of(record)) session->shut_down(record);
  });
}

void Layer::reap() {
  for (std::unique_ptr<Stream>& stream : std::exchange(retired_streams_, {})) {
    if (stream->busy()) {
      retired_streams_.push_back(std::move(stream));
    } else {
      stream->clear();  // The attachment's end may end other exchanges, which wait for the next round.
    }
  }
  if (retired_streams_.empty()) retired_sessions_.clear();
}

}  // namespace beamgate::http2
