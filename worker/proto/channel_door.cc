#include "worker/proto/channel_door.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "common/base/clock.h"
#include "worker/http/cross_origin.h"
#include "worker/proto/admission.h"
#include "worker/proto/cursor.h"
#include "worker/proto/handshake_text.h"
#include "worker/settings.h"

namespace beamgate::proto {

using metrics::Metric;

struct ChannelDoor::Refusal {
  Metric why;
  uint16_t status = 0;  // 0: none.
  std::string_view text;
  std::string_view challenge;  // WWW-Authenticate, RFC 6750 section 3.
};

// What is known of a request so far.  Lives as long as the exchange waits for the application.
class ChannelDoor::Visit final : public http::Attachment {
 public:
  Visit(hook::Webhooks& webhooks, const config::ChannelReaderAction& asked_of, LetIn then)
      : action(asked_of), let_in(std::move(then)), webhooks_(webhooks) {}
  ~Visit() override { webhooks_.cancel(call); }
  bool outlives_client() const override { return false; }

  const config::ChannelReaderAction& action;  // The exchange's request keeps it.
  const LetIn let_in;
  Guest guest;
  std::vector<std::string> tokens_name;  // Channels that the tokens name.
  std::vector<std::string> to_ask;
  size_t asked = 0;                      // How many of these.
  hook::Webhooks::CallId call = 0;

 private:
  hook::Webhooks& webhooks_;
};

ChannelDoor::ChannelDoor(Context& context, http::Exchanges& exchanges, ConnectionOps& ops, ChannelPolicy& policy)
    : context_(context),
      exchanges_(exchanges),
      policy_(policy),
      bus_wait_(context),
      runner_(context, ops, bus_wait_),
      subjects_(context) {}

void ChannelDoor::open(http::Exchange& exchange, const config::ChannelReaderAction& action, LetIn let_in) {
  auto visit = std::make_unique<Visit>(context_.webhooks, action, std::move(let_in));
  const std::vector<RequestedChannel> channels = requested_channels(exchange, action.channels);
  Refusal refusal{};
  if (channels.empty()) refusal = {Metric::RequestsRefusedChannel, 400, "No channel is named.\n", {}};
  if (channels.size() > Cursor::kChannelsMax) {
    refusal = {Metric::RequestsRefusedChannel, 400, "Too many channels.\n", {}};
  }
  if (refusal.status == 0 && action.token) refusal = check_tokens(exchange.request(), *action.token, *visit);
  for (const RequestedChannel& channel : channels) {
    if (refusal.status == 0) refusal = check_channel(channel, action.token != nullptr, *visit);
    visit->guest.channels.push_back(channel.name);
  }
  if (refusal.status != 0) return refuse(exchange, *visit, refusal);
  if (visit->to_ask.empty()) return visit->let_in(exchange, visit->guest);
  Visit& attached = *visit;
  exchange.attach(std::move(visit));
  ask_next(exchange, attached);
}

// --- What can be told at once.

ChannelDoor::Refusal ChannelDoor::check_tokens(const http::Request& request, const config::TokenRules& rules,
                                               Visit& visit) const {
  ShownTokens shown = read_tokens(request, rules);
  if (!shown.any) return {Metric::RequestsRefusedToken, 401, "A token is wanted.\n", "Bearer"};
  if (!shown.valid) {
    return {Metric::RequestsRefusedToken, 401, "The token is not valid.\n", "Bearer error=\"invalid_token\""};
  }
  visit.guest.user = std::move(shown.user);
  visit.guest.expires_s = shown.expires_s;
  visit.tokens_name = std::move(shown.channels);
  return {};
}

ChannelDoor::Refusal ChannelDoor::check_channel(const RequestedChannel& channel, bool tokens, Visit& visit) const {
  using Subscribing = ChannelPolicy::Subscribing;
  const Subscribing verdict = policy_.may_subscribe(channel.name);
  if (verdict == Subscribing::NoName) {
    return {Metric::RequestsRefusedChannel, 400, "This is no name of a channel.\n", {}};
  }
  if (verdict == Subscribing::Full) return {Metric::RequestsRefusedChannelFull, 503, "The channel is full.\n", {}};
  if (!channel.by_client) return {};
  if (channel.name.starts_with('#')) return {Metric::RequestsRefusedChannel, 403, "This channel is a user's.\n", {}};
  switch (verdict) {
    case Subscribing::Open:
      return {};
    case Subscribing::Webhook:
      visit.to_ask.push_back(channel.name);
      return {};
    case Subscribing::Token: {
      const auto& named = visit.tokens_name;
      if (std::find(named.begin(), named.end(), channel.name) != named.end()) return {};
      if (tokens) {
        return {Metric::RequestsRefusedToken, 403, "No token is for this channel.\n",
                "Bearer error=\"insufficient_scope\""};
      }
      break;
    }
    default:
      break;
  }
  return {Metric::RequestsRefusedChannel, 403, "This channel is not open.\n", {}};
}

void ChannelDoor::refuse(http::Exchange& exchange, const Visit& visit, const Refusal& refusal) {
  context_.metrics.add(refusal.why);
  auto fields = http::cross_origin_fields(exchange.request(), visit.action.cross_origin);
  if (!refusal.challenge.empty()) fields.push_back({"WWW-Authenticate", std::string(refusal.challenge)});
  if (refusal.status == 503) fields.push_back({"Retry-After", "1"});
  exchange.respond(refusal.status, "text/plain", refusal.text, std::move(fields));
}

// --- The application's word.

void ChannelDoor::ask_next(http::Exchange& exchange, Visit& visit) {
  if (visit.asked == visit.to_ask.size()) {
    const Guest guest = std::move(visit.guest);
    const LetIn let_in = visit.let_in;  // What answers may end the visit.
    return let_in(exchange, guest);
  }
  const std::string& channel = visit.to_ask[visit.asked];
  const std::shared_ptr<const config::Webhook> webhook = policy_.rules_of(channel).webhook;
  const http::Request& request = exchange.request();
  if (webhook == nullptr) {  // Since a reload.
    return refuse(exchange, visit, {Metric::RequestsRefusedChannel, 403, "This channel is not open.\n", {}});
  }
  const std::string fields = address_fields(request) + kept_fields(request, *webhook);
  const std::string id = subscribe_id(exchange.record().uid, exchange.id().number, visit.asked++);
  hook::Call call{.endpoint = webhook, .type = "beamgate.subscribe", .subject = subjects_.of(exchange.record()),
                  .channel = channel, .event = {}, .id = id, .content_type = "application/json", .body = "null"};
  call.subject.user = visit.guest.user;
  call.subject.uri = request.target;
  call.subject.forward_fields = fields;
  visit.call = context_.webhooks.call(call, [this, id = exchange.id(), webhook, &visit](const hook::Reply& reply) {
    visit.call = 0;
    http::Exchange* waiting = exchanges_.find(id);
    if (waiting != nullptr) on_reply(*waiting, visit, *webhook, reply);
  });
}

void ChannelDoor::on_reply(http::Exchange& exchange, Visit& visit, const config::Webhook& webhook,
                           const hook::Reply& reply) {
  if (reply.accepted()) {
    take_actions(visit, reply.actions);
    return ask_next(exchange, visit);
  }
  if (reply.outcome == hook::Outcome::Answered && reply.status >= 400) {
    context_.metrics.add(Metric::RequestsRefusedApplication);
    auto fields = http::cross_origin_fields(exchange.request(), visit.action.cross_origin);
    for (auto& field : passed_fields(reply)) fields.push_back(std::move(field));
    return exchange.respond(reply.status, reply.content_type, reply.body, std::move(fields));
  }
  if (webhook.on_error == config::Webhook::OnError::Allow) return ask_next(exchange, visit);
  const uint16_t status = status_without_answer(reply);
  refuse(exchange, visit, {Metric::RequestsRefusedUnreachable, status, "The application can't be asked.\n", {}});
}

void ChannelDoor::take_actions(Visit& visit, const hook::Actions& actions) {
  std::vector<std::string>& channels = visit.guest.channels;
  const auto refused = [this](std::string_view action, std::string_view reason) {
    context_.log.warn("webhook_action_refused", {{"action", action}, {"reason", reason}});
  };
  if (actions.user) {
    const bool fits = actions.user->size() <= ConnectionOps::kUserBytesMax;
    if (fits) visit.guest.user = *actions.user;
    if (!fits) refused("user", "too long");
  }
  for (const std::string& channel : actions.subscribe) {
    if (std::find(channels.begin(), channels.end(), channel) != channels.end()) continue;
    const bool fits = hub::Hub::valid_channel(channel) && channels.size() < Cursor::kChannelsMax;
    if (fits) channels.push_back(channel);
    if (!fits) refused("subscribe", "no channel's name, or too many");
  }
  if (!actions.publish.empty()) runner_.publish_only(std::make_shared<hook::Actions>(actions));
}

}  // namespace beamgate::proto
