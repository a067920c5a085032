#include "worker/layers.h"

#include "common/base/clock.h"
#include "common/uv/timer.h"
#include "worker/api/api_handler.h"
#include "worker/api/grip_publish.h"
#include "worker/api/dashboard/dashboard.h"
#include "worker/api/live_page.h"
#include "worker/api/log_level_handler.h"
#include "worker/api/metrics_handler.h"
#include "worker/api/pusher/pusher_api.h"
#include "worker/api/status_handler.h"
#include "worker/api/stub_status_handler.h"
#include "worker/http/access_log.h"
#include "worker/http/announced_clients.h"
#include "worker/http/dispatcher.h"
#include "worker/http/http_layer.h"
#include "worker/http/return_answer.h"
#include "worker/http/static_files.h"
#include "worker/http2/layer.h"
#include "worker/hub/subscriber_counts.h"
#include "worker/net/connections.h"
#include "worker/proto/centrifuge/centrifuge.h"
#include "worker/proto/centrifuge/centrifuge_encoder.h"
#include "worker/proto/channel_door.h"
#include "worker/proto/channel_policy.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/delivery.h"
#include "worker/proto/echo.h"
#include "worker/proto/event_stream.h"
#include "worker/proto/line.h"
#include "worker/proto/long_poll.h"
#include "worker/proto/phoenix/encoder.h"
#include "worker/proto/phoenix/phoenix.h"
#include "worker/proto/presence_events.h"
#include "worker/proto/pusher/pusher.h"
#include "worker/proto/pusher/pusher_encoder.h"
#include "worker/proto/raw.h"
#include "worker/proto/raw_encoder.h"
#include "worker/settings.h"
#include "worker/upstream/proxy_handler.h"
#include "worker/ws/websockets.h"

namespace beamgate {
namespace {

constexpr int kRoundsOfStreams = 4;  // Then the loop turns.

}  // namespace

struct Layers::Parts {
  explicit Parts(Context& context)
      : access_logs(context.log, context.metrics),
        dispatcher(context.connections, context.settings, context.metrics, context.log, &access_logs),
        http_layer(context.connections, dispatcher, context.metrics, context.log),
        http2_layer(context.connections, dispatcher, context.metrics, context.log),
        announced(context.connections, dispatcher, context.metrics, context.log),
        wake_timer(context.loop, [this] { dispatcher.wake(monotonic_ms()); }),
        websockets(context),
        channel_policy(context),
        operations(context, websockets, channel_policy),
        presence_events(context),
        raw_encoder(websockets),
        echo(websockets),
        raw(context, dispatcher, websockets, operations, channel_policy),
        pusher(context, dispatcher, websockets, operations, channel_policy),
        pusher_encoder(pusher.clients()),
        phoenix(context, dispatcher, websockets, operations, channel_policy),
        phoenix_encoder(phoenix.topics()),
        centrifuge(context, dispatcher, websockets, operations, channel_policy),
        centrifuge_encoder(context.hub, websockets),
        files(dispatcher),
        proxy(context.loop, context.poller, dispatcher, context.log, context.metrics),
        api_handler(context, dispatcher, operations),
        pusher_api(context, dispatcher, api_handler.connections(), api_handler.nodes()),
        channel_door(context, dispatcher, operations, channel_policy),
        event_stream(context, channel_policy, channel_door),
        line(context, channel_policy),
        long_poll(context, channel_policy, channel_door),
        grip_publish(context, dispatcher, api_handler.connections()),
        status(context, proxy.pool()),
        stub_status(context),
        log_level(context),
        metrics(context, proxy.pool()),
        dashboard(context, dispatcher, api_handler, status),
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
  proto::ChannelPolicy channel_policy;
  proto::ConnectionOps operations;
  proto::PresenceEvents presence_events;
  proto::RawEncoder raw_encoder;
  proto::Echo echo;
  proto::Raw raw;
  pusher::Pusher pusher;
  pusher::PusherEncoder pusher_encoder;
  proto::phoenix::Phoenix phoenix;
  proto::phoenix::Encoder phoenix_encoder;
  proto::centrifuge::Centrifuge centrifuge;
  proto::centrifuge::CentrifugeEncoder centrifuge_encoder;
  http::StaticFiles files;
  upstream::ProxyHandler proxy;
  api::ApiHandler api_handler;
  api::pusher::PusherApi pusher_api;
  proto::ChannelDoor channel_door;
  proto::EventStream event_stream;
  proto::Line line;
  proto::LongPoll long_poll;
  api::GripPublish grip_publish;
  api::StatusHandler status;
  api::StubStatusHandler stub_status;
  api::LogLevelHandler log_level;
  api::MetricsHandler metrics;
  api::LivePage live_page;
  api::dashboard::Dashboard dashboard;
  Settings& settings;
  net::Connections& connections;
};

Layers::Layers(Context& context) : context_(context), parts_(std::make_unique<Parts>(context)) {
  Parts& parts = *parts_;
  context.connections.set_handler(record::Phase::Http, parts.http_layer);
  context.connections.set_handler(record::Phase::Http2, parts.http2_layer);
  context.connections.set_handler(record::Phase::WebSocket, parts.websockets);
  context.connections.set_handler(record::Phase::Announced, parts.announced);
  context.connections.set_handler(record::Phase::EventStream, parts.event_stream);
  context.connections.set_handler(record::Phase::Line, parts.line);
  context.connections.set_handler(record::Phase::LongPoll, parts.long_poll);
  parts.dispatcher.share_rates(context.rates, context.address_seed);
  hub::serve_subscriber_counts(context.remote, context.hub);

  using config::Action;
  parts.dispatcher.set_handler(Action::Static, parts.files);
  parts.dispatcher.set_handler(Action::Proxy, parts.proxy);
  parts.dispatcher.set_handler(Action::Fastcgi, parts.proxy);
  parts.dispatcher.set_handler(Action::WebSocket, parts.websockets);
  parts.dispatcher.set_handler(Action::EventStream, parts.event_stream);
  parts.dispatcher.set_handler(Action::LongPoll, parts.long_poll);
  parts.dispatcher.set_handler(Action::Api, parts.api_handler);
  parts.dispatcher.set_handler(Action::PusherApi, parts.pusher_api);
  parts.dispatcher.set_handler(Action::GripPublish, parts.grip_publish);
  parts.dispatcher.set_handler(Action::Status, parts.status);
  parts.dispatcher.set_handler(Action::LogLevel, parts.log_level);
  parts.dispatcher.set_handler(Action::StubStatus, parts.stub_status);
  parts.dispatcher.set_handler(Action::Metrics, parts.metrics);
  parts.dispatcher.set_handler(Action::LivePage, parts.live_page);
  parts.dispatcher.set_handler(Action::Dashboard, parts.dashboard);

  context.hub.set_on_user_change([&parts](const ipc::UserChange& change) {
    parts.presence_events.post(change);
    parts.pusher.on_user_change(change);
  });
  context.hub.set_on_channel_change(
      [&parts](const ipc::ChannelChange& change) { parts.pusher.on_channel_change(change); });

  using Mode = config::WebSocketAction::Mode;
  parts.websockets.set_application(Mode::Echo, parts.echo);
  parts.websockets.set_application(Mode::Raw, parts.raw);
  parts.websockets.set_application(Mode::Pusher, parts.pusher);
  parts.websockets.set_application(Mode::Phoenix, parts.phoenix);
  parts.websockets.set_application(Mode::Centrifuge, parts.centrifuge);
  parts.websockets.set_tap(parts.api_handler.taps());
  parts.operations.set_orders(record::Protocol::EventStream, parts.event_stream);
  parts.operations.set_orders(record::Protocol::LongPoll, parts.long_poll);
  parts.operations.set_orders(record::Protocol::Line, parts.line);
  follow();
}

Layers::~Layers() {
  context_.hub.set_on_user_change({});
  context_.hub.set_on_channel_change({});
}

void Layers::follow() {
  parts_->dispatcher.follow();
  parts_->channel_policy.follow();
  parts_->proxy.follow(parts_->settings.current().http);
  parts_->line.follow();
}

void Layers::wire(proto::Delivery& delivery) {
  delivery.set_websockets(parts_->websockets);
  parts_->raw_encoder.set_filter([&raw = parts_->raw](const record::Record& record, const hub::Publication& publication) {
    return raw.wants(record, publication);
  });
  delivery.set_encoder(record::Protocol::Raw, parts_->raw_encoder);
  delivery.set_encoder(record::Protocol::Echo, parts_->raw_encoder);
  delivery.set_encoder(record::Protocol::Pusher, parts_->pusher_encoder);
  delivery.set_encoder(record::Protocol::Phoenix, parts_->phoenix_encoder);
  delivery.set_encoder(record::Protocol::Centrifuge, parts_->centrifuge_encoder);
  delivery.set_encoder(record::Protocol::EventStream, parts_->event_stream);
  delivery.set_encoder(record::Protocol::Line, parts_->line);
  delivery.set_encoder(record::Protocol::LongPoll, parts_->long_poll);
}

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
  parts_->websockets.drain(ws::Cause::Shutdown, 0, over_ms);
  parts_->event_stream.drain(0, over_ms);
  parts_->line.drain(0, over_ms);
  parts_->long_poll.drain(0, over_ms);
}

void Layers::finish_what_stays(int64_t from_ms, int64_t until_ms) {
  parts_->dispatcher.drain();
  parts_->http_layer.drain();
  parts_->http2_layer.drain();
  parts_->websockets.drain(ws::Cause::Restart, from_ms, until_ms - from_ms);
  parts_->event_stream.drain(from_ms, until_ms - from_ms);
  parts_->line.drain(from_ms, until_ms - from_ms);
  parts_->long_poll.drain(from_ms, until_ms - from_ms);
}

}  // namespace beamgate
