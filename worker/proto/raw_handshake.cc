#include "worker/proto/raw_handshake.h"

#include <algorithm>

#include "worker/hub/hub.h"
#include "worker/proto/channel_request.h"

namespace beamgate::proto {

using metrics::Metric;

namespace {

const config::WebSocketAction& action_of(const http::Exchange& exchange) {
  return exchange.request().location->websocket;
}

// The configuration itself says that channels of users are meant.
bool names_users(const config::Template& name) {
  const auto& parts = name.parts();
  return !parts.empty() && !parts[0].variable && parts[0].text.starts_with('#');
}

// Whoever connects could hear what is for somebody else, or speak to anybody: a client's own text makes no such name.
bool is_forged(const config::Template& name, std::string_view channel) {
  return channel.starts_with('#') && !names_users(name);
}

constexpr std::string_view kForged = "This channel is a user's.\n";

}  // namespace

void RawHandshake::begin(http::Exchange& exchange) {
  const config::WebSocketAction& action = action_of(exchange);
  std::string user;
  if (!admit(exchange, user)) return;
  std::string channel;
  if (action.webhook == nullptr && !action.publish.empty()) {
    http::expand(action.publish, exchange.request(), exchange.record(), channel);
    if (is_forged(action.publish, channel)) {
      return admission_.refuse(exchange, exchange.record(), *this, Metric::WebSocketHandshakesChannel, 403, kForged);
    }
    if (!hub::Hub::valid_channel(channel)) {
      return admission_.refuse(exchange, exchange.record(), *this, Metric::WebSocketHandshakesChannel, 400,
                               "This is no name of a channel to publish to.\n");
    }
  }
  admission_.begin(exchange, exchange.record(), *this, {.user = user, .publish_channel = channel});
}

// False: it is answered.
bool RawHandshake::admit(http::Exchange& exchange, std::string& user) {
  const config::WebSocketAction& action = action_of(exchange);
  ShownTokens shown;
  if (action.token != nullptr) {
    shown = read_tokens(exchange.request(), *action.token);
    if (!shown.valid) {
      const std::string_view text = shown.any ? "The token is not valid.\n" : "A token is wanted.\n";
      admission_.refuse(exchange, exchange.record(), *this, Metric::WebSocketHandshakesToken, 401, text,
                        {{"WWW-Authenticate", "Bearer"}});
      return false;
    }
    user = std::move(shown.user);
  }
  return action.webhook != nullptr || may_follow(exchange, shown.channels);
}

bool RawHandshake::may_follow(http::Exchange& exchange, const std::vector<std::string>& tokens_name) {
  using Subscribing = ChannelPolicy::Subscribing;
  for (const config::Template& name : action_of(exchange).subscribe) {
    if (name.constant() || names_users(name)) continue;
    std::string channel;
    http::expand(name, exchange.request(), exchange.record(), channel);
    const Subscribing verdict = policy_.may_subscribe(channel);
    if (verdict == Subscribing::NoName || verdict == Subscribing::Full) continue;  // join_channels() says so.
    const bool named = std::find(tokens_name.begin(), tokens_name.end(), channel) != tokens_name.end();
    if (verdict == Subscribing::Open || (verdict == Subscribing::Token && named)) continue;
    admission_.refuse(exchange, exchange.record(), *this, Metric::WebSocketHandshakesChannel, 403,
                      "This channel is not open.\n");
    return false;
  }
  return true;
}

void RawHandshake::let_in(http::Exchange& exchange, record::Record& record, SharedActions actions,
                          std::vector<http::ResponseField> fields) {
  runner_.prepare(record, *actions);
  if (!join_channels(exchange, record)) return;
  if (!enter(record)) {
    return admission_.refuse(exchange, record, *this, Metric::WebSocketHandshakesChannelFull, 503,
                             "No room for this subscription.\n");
  }
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
      admission_.refuse(exchange, record, *this, Metric::WebSocketHandshakesChannel, 403, kForged);
      return false;
    }
    const auto subscribed = ops_.subscribe(record, channel);
    if (subscribed.ok()) continue;
    if (subscribed.error().code == Code::Invalid) {
      admission_.refuse(exchange, record, *this, Metric::WebSocketHandshakesChannel, 400,
                        "This is no name of a channel to subscribe to.\n");
    } else {
      admission_.refuse(exchange, record, *this, Metric::WebSocketHandshakesChannelFull, 503,
                        "No room for this subscription.\n");
    }
    return false;
  }
  return true;
}

// Its plain subscriptions become what the rules of their channels say.
Result<void> RawHandshake::enter(record::Record& record) {
  const std::vector<std::string_view> channels = hub_.channels_of(record);
  const std::vector<std::string> names(channels.begin(), channels.end());
  for (const std::string& name : names) {
    if (const auto entered = policy_.subscribe(record, name); !entered) return entered.error();
  }
  return {};
}

}  // namespace beamgate::proto
