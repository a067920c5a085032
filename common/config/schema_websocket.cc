#include "common/base/bytes.h"
#include "common/config/field.h"
#include "common/config/origins.h"
#include "common/config/schema.h"
#include "common/config/store.h"
#include "common/config/token_name.h"

namespace beamgate::config {
namespace {

constexpr uint64_t kRateMax = 50'000;  // Messages in a second; what the table can count.
constexpr size_t kChannelsMax = 64;  // Templates of websocket_subscribe in one location.

void set_websocket(Setting& setting) {
  using Mode = WebSocketAction::Mode;
  static constexpr std::pair<std::string_view, Mode> kModes[] = {{"raw", Mode::Raw},
                                                                 {"echo", Mode::Echo},
                                                                 {"pusher", Mode::Pusher},
                                                                 {"phoenix", Mode::Phoenix},
                                                                 {"centrifuge", Mode::Centrifuge}};
  for (const auto& [word, mode] : kModes) {
    if (setting.arg() != word) continue;
    setting.frame.location->websocket.mode = mode;
    setting.choose(Action::WebSocket);
    return;
  }
  setting.fail(0, "expected \"raw\", \"echo\", \"pusher\", \"phoenix\" or \"centrifuge\"");
}

void set_webhook(Setting& setting) {
  const auto& webhooks = setting.loader.config->http.webhooks;
  const auto found = webhooks.find(setting.arg());
  if (setting.arg() == "off") {
    setting.frame.location->websocket.webhook = nullptr;
  } else if (found == webhooks.end()) {
    setting.fail(0, "no webhook block of this name in http");
  } else {
    setting.frame.location->websocket.webhook = found->second;
  }
}

void set_token(Setting& setting) { setting.frame.location->websocket.token = read_token_name(setting); }

void set_subscribe(Setting& setting) {
  std::vector<Template>& channels = setting.frame.location->websocket.subscribe;
  if (setting.first(setting.row.name)) channels.clear();
  for (size_t i = 0; i < setting.count(); ++i) {
    Template channel;
    if (!setting.parse_template(i, channel)) continue;
    if (channel.empty()) {
      setting.fail(i, "expected a channel");
    } else if (channels.size() >= kChannelsMax) {
      setting.fail(i, "more than " + std::to_string(kChannelsMax) + " channels");
    } else {
      channels.push_back(std::move(channel));
    }
  }
}

void set_publish(Setting& setting) {
  Template channel;
  if (!setting.parse_template(0, channel)) return;
  if (channel.empty()) return setting.fail(0, "expected a channel");
  setting.frame.location->websocket.publish = std::move(channel);
}

void set_slow_reader(Setting& setting) {
  WebSocketAction& action = setting.frame.location->websocket;
  if (setting.arg() == "close") {
    action.slow_reader = WebSocketAction::SlowReader::Close;
  } else if (setting.arg() == "drop_oldest") {
    action.slow_reader = WebSocketAction::SlowReader::DropOldest;
  } else {
    setting.fail(0, "expected \"close\" or \"drop_oldest\"");
  }
}

void set_origins(Setting& setting) { read_origins(setting, setting.frame.location->websocket.origins); }

void set_subprotocols(Setting& setting) {
  std::vector<std::string>& names = setting.frame.location->websocket.subprotocols;
  names.clear();
  if (setting.count() == 1 && setting.arg() == "none") return;
  for (size_t i = 0; i < setting.count(); ++i) {
    if (!is_token(setting.arg(i))) {
      setting.fail(i, "expected an HTTP token");
    } else {
      names.push_back(setting.arg(i));
    }
  }
}

// "websocket_rate connection 50r/s burst=100 delay".
void set_rate(Setting& setting) {
  std::vector<MessageRate>& rates = setting.frame.location->websocket.rates;
  if (setting.first(setting.row.name)) rates.clear();
  if (setting.count() == 1 && setting.arg() == "off") return;
  MessageRate rate;
  if (setting.arg() == "user") {
    rate.of = MessageRate::Of::User;
  } else if (setting.arg() == "address") {
    rate.of = MessageRate::Of::Address;
  } else if (setting.arg() != "connection") {
    return setting.fail(0, "expected \"off\", \"connection\", \"user\" or \"address\"");
  }
  const std::string expected = "expected number and r/s or r/m, from 1 to " + std::to_string(kRateMax);
  if (setting.count() < 2) return setting.error(expected + " behind \"" + setting.arg() + "\"");
  const std::string_view text = setting.arg(1);
  const bool by_minute = text.ends_with("r/m");
  const auto number = by_minute || text.ends_with("r/s") ? parse_number(text.substr(0, text.size() - 3)) : std::nullopt;
  if (!number.has_value() || *number < 1 || *number > kRateMax) return setting.fail(1, expected);
  rate.rate_milli = static_cast<uint32_t>(by_minute ? std::max<uint64_t>(*number * 1'000 / 60, 1) : *number * 1'000);
  rate.burst = std::max(rate.rate_milli / 1'000, 1u);
  for (size_t i = 2; i < setting.count(); ++i) {
    const std::string_view word = setting.arg(i);
    const auto burst = word.starts_with("burst=") ? parse_number(word.substr(6)) : std::nullopt;
    if (burst.has_value() && *burst >= 1 && *burst <= kRateMax) {
      rate.burst = static_cast<uint32_t>(*burst);
    } else if (word == "drop") {
      rate.policy = MessageRate::Policy::Drop;
    } else if (word == "close") {
      rate.policy = MessageRate::Policy::Close;
    } else if (word != "delay") {
      return setting.fail(i, "expected burst=number from 1 to " + std::to_string(kRateMax) + ", \"delay\", \"drop\" or \"close\"");
    }
  }
  rates.push_back(rate);
}

constexpr auto kSocket = &Location::websocket;

constexpr Directive kRows[] = {
    {.name = "websocket",
     .scopes = kLocation,
     .set = set_websocket,
     .syntax = "raw | echo | pusher | phoenix | centrifuge",
     .help =
         "Terminates WebSocket connections.  raw: each message goes to the webhook and its reply comes back; "
         "without a webhook it is published to websocket_publish.  echo: each message is sent back.  pusher, phoenix, "
         "centrifuge: the protocol of that name, as its official clients speak it."},
    {.name = "webhook",
     .scopes = kServer | kLocation,
     .set = set_webhook,
     .syntax = "name | off",
     .fallback_help = "off",
     .help = "The webhook block whose application is asked about this location's connections."},
    {.name = "websocket_token",
     .scopes = kServer | kLocation,
     .set = set_token,
     .syntax = "name | off",
     .fallback_help = "off",
     .help = "The token block that says which signed tokens clients may show, where their protocol has a place for "
             "one (centrifuge, phoenix), and of raw connections in the field Authorization: Bearer or the argument token.  "
             "A client with none, or a wrong one, is refused."},
    {.name = "websocket_subscribe",
     .scopes = kHttpServerLocation,
     .arity = at_least(1),
     .repeatable = true,
     .set = set_subscribe,
     .syntax = "channel ...",
     .help = "Channels that a connection joins at its handshake; may contain variables.  Where no webhook is asked, those with "
             "variables are subject to the rules of the channel (channels, subscribe); for one with subscribe token, the token "
             "of a raw connection (websocket_token) has to name it, as for sse_token.  A user's channel "
             "(\"#server-to-user-NAME\") is refused with 403 unless the \"#\" stands here: a client's text alone makes none."},
    {.name = "websocket_publish",
     .scopes = kHttpServerLocation,
     .set = set_publish,
     .syntax = "channel",
     .help = "Where a connection's messages are published when no webhook is asked; may contain variables, with the same "
             "exception.  What the channel's rules don't let clients publish (channels: publish, rate) is forgotten."},
    {.name = "websocket_message_max",
     .scopes = kHttpServerLocation,
     .set = store_bytes<kSocket, &WebSocketAction::message_bytes_max>,
     .syntax = "size",
     .fallback = "64k",
     .min = "1",
     .max = "64m",
     .help = "Largest reassembled message; a bigger one closes the connection with 1009.  Where other clients get it, their "
         "websocket_send_queue has to have room for it."},
    {.name = "websocket_send_queue",
     .scopes = kHttpServerLocation,
     .set = store_bytes<kSocket, &WebSocketAction::send_queue_bytes>,
     .syntax = "size",
     .fallback = "1m",
     .min = "1k",
     .max = "1g",
     .help = "Bytes that wait for one client; websocket_slow_reader says what happens when there are more."},
    {.name = "websocket_slow_reader",
     .scopes = kHttpServerLocation,
     .set = set_slow_reader,
     .syntax = "close | drop_oldest",
     .fallback = "close",
     .help =
         "close ends a connection whose queue is full with 1008; drop_oldest forgets its oldest messages."},
    {.name = "websocket_rate",
     .scopes = kHttpServerLocation,
     .arity = between(1, 4),
     .repeatable = true,
     .set = set_rate,
     .syntax = "off | connection | user | address [number r/s] [burst=number] [delay | drop | close]",
     .fallback_help = "off",
     .help = "How fast clients may send messages, written as in \"websocket_rate user 20r/s burst=50 close\": those of one "
             "connection, of all connections of one user, or from one address.  Without burst, one second's worth may come "
             "at once.  What is faster is read later, so that TCP slows the client down (delay), is forgotten (drop), which "
             "Pusher, Phoenix and Centrifuge clients are told by an error, or ends the connection with 1008, or what its "
             "protocol has for it (close)."},
    {.name = "websocket_ping_interval",
     .scopes = kHttpServerLocation,
     .set = store_time<kSocket, &WebSocketAction::ping_interval_ms>,
     .syntax = "time",
     .fallback = "30s",
     .min = "0",
     .max = "1d",
     .help = "Silence after which the client is pinged; 0 never pings."},
    {.name = "websocket_idle_timeout",
     .scopes = kHttpServerLocation,
     .set = store_time<kSocket, &WebSocketAction::idle_timeout_ms>,
     .syntax = "time",
     .fallback = "75s",
     .min = "0",
     .max = "30d",
     .help = "Silence, answers to pings included, after which the connection is closed; 0 never closes."},
    {.name = "websocket_close_timeout",
     .scopes = kHttpServerLocation,
     .set = store_time<kSocket, &WebSocketAction::close_timeout_ms>,
     .syntax = "time",
     .fallback = "5s",
     .min = "1ms",
     .max = "1h",
     .help = "How long the client's answer to a close is waited for."},
    {.name = "websocket_origins",
     .scopes = kHttpServerLocation,
     .arity = at_least(1),
     .set = set_origins,
     .syntax = "any | origin ...",
     .fallback = "any",
     .help = "Origins whose pages may connect, such as https://example.com or https://*.example.com; others "
             "get 403.  A request without Origin comes from no browser and is let in."},
    {.name = "websocket_subprotocols",
     .scopes = kHttpServerLocation,
     .arity = at_least(1),
     .set = set_subprotocols,
     .syntax = "none | name ...",
     .fallback = "none",
     .help = "Subprotocols that are agreed to, in order of preference."},
    {.name = "websocket_deflate",
     .scopes = kHttpServerLocation,
     .set = store_flag<kSocket, &WebSocketAction::deflate>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Agrees to permessage-deflate (RFC 7692)."},
    {.name = "websocket_deflate_level",
     .scopes = kHttpServerLocation,
     .set = store_number<kSocket, &WebSocketAction::deflate_level>,
     .syntax = "number",
     .fallback = "1",
     .min = "1",
     .max = "9",
     .help = "Effort of compression."},
    {.name = "websocket_deflate_min",
     .scopes = kHttpServerLocation,
     .set = store_bytes<kSocket, &WebSocketAction::deflate_bytes_min>,
     .syntax = "size",
     .fallback = "256",
     .min = "0",
     .max = "64m",
     .help = "Smaller messages go out uncompressed."},
    {.name = "websocket_deflate_server_window_bits",
     .scopes = kHttpServerLocation,
     .set = store_number<kSocket, &WebSocketAction::deflate_server_window_bits>,
     .syntax = "bits",
     .fallback = "12",
     .min = "9",
     .max = "15",
     .help = "Largest window for compression; bounds the memory of a connection."},
    {.name = "websocket_deflate_client_window_bits",
     .scopes = kHttpServerLocation,
     .set = store_number<kSocket, &WebSocketAction::deflate_client_window_bits>,
     .syntax = "bits",
     .fallback = "15",
     .min = "9",
     .max = "15",
     .help = "Largest window that the client may use."},
    {.name = "websocket_deflate_context_takeover",
     .scopes = kHttpServerLocation,
     .set = store_flag<kSocket, &WebSocketAction::deflate_context_takeover>,
     .syntax = "on | off",
     .fallback = "on",
     .help = "off compresses each message by itself: less memory for each connection, larger messages."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> websocket_directives() {
  return kRows;
}

}  // namespace beamgate::config
