#include "worker/proto/pusher/pusher.h"

#include "common/config/app_channels.h"
#include "common/crypto/crypto.h"
#include "worker/hub/hub.h"
#include "worker/net/connections.h"
#include "worker/proto/pusher/frames.h"
#include "worker/settings.h"

namespace beamgate::pusher {
Pusher::Pusher(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets, proto::ConnectionOps& ops,
               proto::ChannelPolicy& policy)
    : context_(context),
      ops_(ops),
      subjects_(context),
      connection_events_(context, subjects_),
      clients_(context, ops, websockets),
      greeting_(clients_, exchanges, websockets, subjects_),
      events_(context),
      counts_(clients_, events_),
      subscribing_(clients_, policy, events_, counts_),
      subscribe_calls_(clients_, policy, subjects_, subscribing_),
      client_events_(clients_, policy, events_),
      watchlist_(clients_),
      sign_in_(clients_, watchlist_) {
  ops.set_orders(record::Protocol::Pusher, *this);
}

const std::shared_ptr<const config::Webhook>& Pusher::endpoint_of(const record::Record& record) const {
  static const std::shared_ptr<const config::Webhook> kNone;
  const config::Location* location = context_.settings.location(record.location_id);
  return location == nullptr ? kNone : location->websocket.webhook;
}

void Pusher::on_open(record::Record& record) {
  if (const auto& endpoint = endpoint_of(record)) connection_events_.connected(record, endpoint);
}

void Pusher::on_message(record::Record& record, ws::Opcode opcode, std::span<char> payload) {
  if (record.ws.close != record::CloseState::Open) return;
  if (opcode == ws::Opcode::Binary) return clients_.warn(record, "Frames are text.");
  const auto frame = parse_frame({payload.data(), payload.size()});
  if (!frame) return clients_.warn(record, "This is no frame of the Pusher protocol.");
  if (frame->event == "pusher:ping") return clients_.send(record, event_frame("pusher:pong", {}, "{}"));
  if (frame->event == "pusher:pong") return;
  const auto app = clients_.app_of(record);
  if (app == nullptr) {
    return clients_.end(record, metrics::Metric::ClosesNotConfigured, kErrorUnknownApp, "This app is no longer here.");
  }
  obey(record, *app, *frame);
}

// What costs nobody else anything is done all the same.
void Pusher::on_too_fast(record::Record& record, ws::Opcode opcode, std::span<char> payload) {
  const auto frame = opcode == ws::Opcode::Text ? parse_frame({payload.data(), payload.size()}) : std::nullopt;
  const std::string_view event = frame ? std::string_view(frame->event) : std::string_view();
  if (event == "pusher:ping" || event == "pusher:pong" || event == "pusher:unsubscribe") {
    return on_message(record, opcode, payload);
  }
  const auto channel = event == "pusher:subscribe" ? frame->data.get_string("channel") : std::nullopt;
  if (channel) return subscribing_.refuse(record, *channel, "LimitReached", "Too many messages.", 429);
  clients_.error(record, kErrorClientEvent, "Too many messages.");
}

void Pusher::obey(record::Record& record, const config::App& app, const ClientFrame& frame) {
  if (frame.event.starts_with("client-")) return client_events_.send(record, app, frame);
  if (frame.event == "pusher:subscribe") {
    const auto asked = subscribing_.subscribe(record, app, frame.data);
    if (asked != nullptr) subscribe_calls_.queue(record, asked, frame.data);
    return;
  }
  if (frame.event == "pusher:unsubscribe") {
    subscribe_calls_.withdraw(record, frame.data);
    return subscribing_.unsubscribe(record, app, frame.data);
  }
  if (frame.event == "pusher:signin") return sign_in_.run(record, app, frame.data);
  context_.metrics.add(metrics::Metric::PublicationsRefusedEvent);
  if (is_reserved_event(frame.event)) return;  // Of a later version; no answer says that it isn't known.
  clients_.error(record, kErrorClientEvent, "Clients may only send events that begin with \"client-\".");
}

void Pusher::on_user_change(const ipc::UserChange& change) {
  events_.on_user_change(change);
  watchlist_.on_user_change(change);
}

void Pusher::on_joined(record::Record& record, std::string_view, const ipc::ChannelState& state) {
  subscribing_.joined(record, state);
}

// Codes below 4300 bring its clients back, at once from 4200 on; RFC 6455's would do so too, but later.
ws::CloseText Pusher::closes_with(ws::Cause cause) const {
  switch (cause) {
    case ws::Cause::Shutdown:
    case ws::Cause::Restart: return {kErrorReconnect, "Reconnect."};
    case ws::Cause::SlowReader: return {kErrorOverCapacity, "Too slow."};
    case ws::Cause::Silence: return {kErrorInactive, "Nothing was heard."};
    case ws::Cause::TooFast: return {kErrorOverCapacity, "Too fast."};
  }
  return ws::close_text(cause);
}

// --- What applications order.

// Its clients only know channels that they have asked for; what comes from another one they pass over.  Channels of
// another app it never gets: its own may have the same names.
Result<hub::Subscribed> Pusher::subscribe(record::Record& record, std::string_view channel) {
  const auto app = clients_.app_of(record);
  const config::Http& http = context_.settings.current().http;
  if (app != nullptr && config::app_prefix_of(http, channel) != app->channel_prefix) {
    return Error{Code::Invalid, 0, "a channel of another app"};
  }
  context_.connections.touch(record);
  return context_.hub.subscribe(record, channel);
}

bool Pusher::unsubscribe(record::Record& record, std::string_view channel) {
  context_.connections.touch(record);
  if (!context_.hub.unsubscribe(record, channel)) return false;
  counts_.changed(channel);
  return true;
}

std::string Pusher::message(bool binary, std::string_view bytes) const {
  return event_frame("message", {}, binary ? crypto::base64_encode(bytes) : std::string(bytes));
}

// Final ones are 4009; those that ask it to come back, in words of RFC 6455 or of Centrifugo, are Pusher's for that.
ws::CloseText Pusher::closes_with(uint16_t code, std::string_view reason) const {
  if (code == ws::kCloseGoingAway || code == ws::kCloseServiceRestart) return {kErrorReconnect, reason};
  if (code >= 3000 && code < 3500) return {kErrorReconnect, reason};
  if (code == ws::kCloseTryAgainLater) return {kErrorOverCapacity, reason};
  if (code == ws::kCloseNormal || code == ws::kClosePolicyViolation) return {kErrorUnauthorized, reason};
  if (code >= 3500 && code < 4000) return {kErrorUnauthorized, reason};
  return {code, reason};
}

void Pusher::on_given(record::Record& record) {
  subscribe_calls_.on_given(record);
  clients_.forget(record);
}

void Pusher::on_gone(record::Record& record, const ws::Ending& ending) {
  if (const auto& endpoint = endpoint_of(record)) connection_events_.disconnected(record, endpoint, ending);
  subscribe_calls_.on_gone(record);
  subscribing_.leave_all(record);
  ops_.forget(record);
  clients_.forget(record);
}

}  // namespace beamgate::pusher
