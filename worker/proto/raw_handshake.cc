#include "worker/proto/raw_handshake.h"

#include "worker/hub/hub.h"

namespace beamgate::proto {
namespace {

const config::WebSocketAction& action_of(const http::Exchange& exchange) {
  return exchange.request().location->websocket;
}

// Whoever connects could hear what is for somebody else, or speak to anybody: names that begin so are those of users, and a
// client's own text makes none.
bool is_forged(const config::Template& name, std::string_view channel) {
  const auto& parts = name.parts();
  const bool configured = !parts.empty() && !parts[0].variable && parts[0].text.starts_with('#');
  return channel.starts_with('#') && !configured;
}

constexpr std::string_view kForged = "This channel is a user's.\n";

}  // namespace

void RawHandshake::begin(http::Exchange& exchange) {
  const config::WebSocketAction& action = action_of(exchange);
  std::string channel;
  if (action.webhook == nullptr && !action.publish.empty()) {
    http::expand(action.publish, exchange.request(), exchange.record(), channel);
    if (is_forged(action.publish, channel)) return admission_.refuse(exchange, exchange.record(), *this, 403, kForged);
    if (!hub::Hub::valid_channel(channel)) {
      return admission_.refuse(exchange, exchange.record(), *this, 400,
                               "This is no name of a channel to publish to.\n");
    }
  }
  admission_.begin(exchange, exchange.record(), *this, {.publish_channel = channel});
}

void RawHandshake::let_in(http::Exchange& exchange, record::Record& record, SharedActions actions,
                          std::vector<http::ResponseField> fields) {
  runner_.prepare(record, *actions);
  if (!join_channels(exchange, record)) return;
  ops_.when_confirmed(record, [this, id = exchange.id(), actions, fields](record::Record* confirmed) {
    if (confirmed != nullptr) accept(id, actions, fields);
  });
}

void RawHandshake::accept(http::ExchangeId id, SharedActions actions, const std::vector<http::ResponseField>& fields) {
  http::Exchange* exchange = exchanges_.find(id);
  if (exchange == nullptr || !websockets_.accept(*exchange, fields)) return;
  record::Record* open = ops_.find_open(id.connection);
  if (open != nullptr) runner_.complete(*open, actions, [](record::Record*) {});
}

bool RawHandshake::join_channels(http::Exchange& exchange, record::Record& record) {
  for (const config::Template& name : action_of(exchange).subscribe) {
    std::string channel;
    http::expand(name, exchange.request(), record, channel);
    if (is_forged(name, channel)) {
      admission_.refuse(exchange, record, *this, 403, kForged);
      return false;
    }
    const auto subscribed = ops_.subscribe(record, channel);
    if (subscribed.ok()) continue;
    if (subscribed.error().code == Code::Invalid) {
      admission_.refuse(exchange, record, *this, 400, "This is no name of a channel to subscribe to.\n");
    } else {
      admission_.refuse(exchange, record, *this, 503, "No room for this subscription.\n");
    }
    return false;
  }
  return true;
}

}  // namespace beamgate::proto
