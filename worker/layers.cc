#include "worker/layers.h"

#include "common/base/clock.h"
#include "common/uv/timer.h"
#include "worker/api/api_handler.h"
#include "worker/api/live_page.h"
#include "worker/api/metrics_handler.h"
#include "worker/api/status_handler.h"
#include "worker/http/access_log.h"
#include "worker/http/announced_clients.h"
#include "worker/http/dispatcher.h"
#include "worker/http/http_layer.h"
#include "worker/http/return_answer.h"
#include "worker/http/static_files.h"
#include "worker/http2/layer.h"
#include "worker/net/connections.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/echo.h"
#include "worker/proto/raw.h"
#include "worker/settings.h"
#include "worker/upstream/proxy_handler.h"
#include "worker/ws/websockets.h"

namespace beamgate {
namespace {

constexpr int kRoundsOfStreams = 4;  // Then the loop turns.

}  // namespace

struct Layers::Parts {
  explicit Parts(Context& context)
      : access_logs(context.log),
        dispatcher(context.connections, context.settings, context.metrics, context.log, &access_logs),
        http_layer(context.connections, dispatcher, context.metrics, context.log),
        http2_layer(context.connections, dispatcher, context.metrics, context.log),
        announced(context.connections, dispatcher, context.metrics, context.log),
        wake_timer(context.loop, [this] { dispatcher.wake(monotonic_ms()); }),
        websockets(context),
        operations(context, websockets),
        echo(websockets),
        raw(context, dispatcher, websockets, operations),
        files(dispatcher),
        proxy(context.loop, context.poller, dispatcher, context.log, context.metrics),
        api_handler(context, dispatcher, operations),
        status(context, proxy.pool()),
        metrics(context, proxy.pool()),
        settings(context.settings),
        connections(context.connections) {}

  http::AccessLogs access_logs;
  http::Dispatcher dispatcher;
  http::HttpLayer http_layer;
  http2::Layer http2_layer;
  http::AnnouncedClients announced;
  uv::Timer wake_timer;
  int64_t wakes_at_ms = 0;
  ws::WebSockets websockets;
  proto::ConnectionOps operations;
  proto::Echo echo;
  proto::Raw raw;
  http::StaticFiles files;
  upstream::ProxyHandler proxy;
  api::ApiHandler api_handler;
  api::StatusHandler status;
  api::MetricsHandler metrics;
  api::LivePage live_page;
  Settings& settings;
  net::Connections& connections;
};

Layers::Layers(Context& context) : parts_(std::make_unique<Parts>(context)) {
  Parts& parts = *parts_;
  context.connections.set_handler(record::Phase::Http, parts.http_layer);
  context.connections.set_handler(record::Phase::Http2, parts.http2_layer);
  context.connections.set_handler(record::Phase::WebSocket, parts.websockets);
  context.connections.set_handler(record::Phase::Announced, parts.announced);
  parts.dispatcher.share_rates(context.rates, context.address_seed);

  using config::Action;
  parts.dispatcher.set_handler(Action::Static, parts.files);
  parts.dispatcher.set_handler(Action::Proxy, parts.proxy);
  parts.dispatcher.set_handler(Action::Fastcgi, parts.proxy);
  parts.dispatcher.set_handler(Action::WebSocket, parts.websockets);
  parts.dispatcher.set_handler(Action::Api, parts.api_handler);
  parts.dispatcher.set_handler(Action::Status, parts.status);
  parts.dispatcher.set_handler(Action::Metrics, parts.metrics);
  parts.dispatcher.set_handler(Action::LivePage, parts.live_page);

  using Mode = config::WebSocketAction::Mode;
  parts.websockets.set_application(Mode::Echo, parts.echo);
  parts.websockets.set_application(Mode::Raw, parts.raw);
  follow();
}

Layers::~Layers() = default;

void Layers::follow() { parts_->proxy.follow(parts_->settings.current().http); }

ws::WebSockets& Layers::websockets() { return parts_->websockets; }

tls::Contexts& Layers::tls_contexts() { return parts_->http_layer; }

void Layers::end_turn() {
  Parts& parts = *parts_;
  parts.http_layer.end_turn();
  // What a stream says leaves by the connection that carries it, and what came for it may have been waited for.
  for (int round = 0; round < kRoundsOfStreams && parts.http2_layer.end_turn(); ++round) parts.connections.end_turn();
  parts.access_logs.flush();
  const int64_t at_ms = parts.dispatcher.next_wake_ms();
  if (at_ms == 0 || (at_ms == parts.wakes_at_ms && parts.wake_timer.active())) return;
  parts.wakes_at_ms = at_ms;
  parts.wake_timer.start(at_ms - monotonic_ms());
}

bool Layers::has_pending_turn() const { return parts_->http2_layer.has_pending_turn(); }

void Layers::set_short_of_memory(bool is_short) { parts_->dispatcher.set_short_of_memory(is_short); }

void Layers::reopen_logs() { parts_->access_logs.reopen(); }

void Layers::drain(int64_t over_ms) {
  parts_->announced.drain();
  parts_->dispatcher.drain();
  parts_->http_layer.drain();
  parts_->http2_layer.drain();
  parts_->websockets.drain(ws::kCloseGoingAway, 0, over_ms);
}

void Layers::finish_what_stays(int64_t from_ms, int64_t until_ms) {
  parts_->dispatcher.drain();
  parts_->http_layer.drain();
  parts_->http2_layer.drain();
  parts_->websockets.drain(ws::kCloseServiceRestart, from_ms, until_ms - from_ms);
}

}  // namespace beamgate
