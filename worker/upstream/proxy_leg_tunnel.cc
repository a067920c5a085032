// A proxy leg once its backend has agreed to a WebSocket; see proxy_leg.h.
#include "common/base/clock.h"
#include "worker/upstream/proxy_leg.h"

namespace beamgate::upstream {

using metrics::Metric;

void ProxyLeg::begin_tunnel(http::Exchange& client, std::string_view first) {
  begun_ = tunnel_ = true;
  peer_->succeeded(monotonic_ms());
  parts_.metrics.add(Metric::UpstreamTunnelsActive);
  std::vector<http::ResponseField> fields = std::move(reader_->head().fields);
  protocol_.fit_fields(client.request(), client.record(), fields);
  fields.push_back({"Upgrade", "websocket"});
  fields.push_back({"Connection", "Upgrade"});
  reader_.reset();
  out_.begin_stream(settings_.buffer_bytes);
  body_ended_ = body_discarded_ = false;
  last_read_ms_ = monotonic_ms();
  client.tunnel(fields);
  http::Exchange* still = exchange();
  if (first.empty() || still == nullptr || still->write(first) || connection_ == nullptr) return;
  reading_ = false;
  connection_->want_read(false);
}

// Most of the time nothing waits, and nothing is copied.
size_t ProxyLeg::send_in_tunnel(std::string_view bytes) {
  if (connection_ == nullptr || send_broken_ || !out_.unsent().empty()) return 0;
  const Result<size_t> sent = connection_->send(bytes);
  made_progress();
  if (sent.ok()) {
    progress_.bytes_sent += sent.value();
    return sent.value();
  }
  send_broken_ = sent.error().code != Code::WouldBlock;
  return send_broken_ ? bytes.size() : 0;
}

void ProxyLeg::read_in_tunnel() {
  const Result<size_t> received = connection_->receive(parts_.landing);
  if (!received.ok()) {
    if (received.error().code != Code::WouldBlock) end_tunnel();
    return;
  }
  last_read_ms_ = monotonic_ms();
  http::Exchange* client = exchange();
  if (client == nullptr) return release_peer(monotonic_ms());
  progress_.bytes_received += received.value();
  progress_.body_bytes += received.value();
  if (client->write({parts_.landing.data(), received.value()}) || connection_ == nullptr) return;
  reading_ = false;
  connection_->want_read(false);
}

// What the client has been sent so far still reaches it.
void ProxyLeg::end_tunnel() {
  release_peer(monotonic_ms());
  body_discarded_ = over_ = true;
  if (http::Exchange* client = exchange()) client->finish();
}

}  // namespace beamgate::upstream
