#include "worker/proto/phoenix/topic_rules.h"

#include "common/json/value.h"
#include "worker/hub/hub.h"
#include "worker/proto/channel_token.h"
#include "worker/record/text_block.h"
#include "worker/settings.h"

namespace beamgate::proto::phoenix {
namespace {

constexpr const char* kUnauthorized = "unauthorized";

}  // namespace

const config::WebSocketAction* TopicRules::action_of(const record::Record& record) const {
  const config::Location* location = context_.settings.location(record.location_id);
  return location == nullptr ? nullptr : &location->websocket;
}

std::shared_ptr<const config::Webhook> TopicRules::endpoint_of(const record::Record& record,
                                                               const Message& message) const {
  const config::WebSocketAction* action = action_of(record);
  const config::ChannelRules& rules = policy_.rules_of(message.topic);
  const bool joins = message.event == kJoin;
  if (joins && rules.access == config::ChannelRules::Access::Webhook) return rules.webhook;
  if (action != nullptr && action->webhook != nullptr) return action->webhook;
  return joins ? nullptr : rules.webhook;
}

bool TopicRules::is_publication(const record::Record& record, const Message& message) const {
  const config::WebSocketAction* action = action_of(record);
  return message.event != kJoin && (action == nullptr || action->webhook == nullptr);
}

const char* TopicRules::refuse_join(const record::Record& record, const Message& message, bool asked) const {
  using Subscribing = ChannelPolicy::Subscribing;
  Subscribing verdict = policy_.may_subscribe(message.topic);
  if (message.topic.starts_with(hub::kUserChannelPrefix)) {
    const std::string_view user = record::text_of(context_.arena, record.user);
    const bool own = !user.empty() && message.topic == hub::user_channel(user);
    verdict = own ? Subscribing::Open : Subscribing::Denied;
  }
  if (message.topic == kHeartbeatTopic) verdict = Subscribing::NoName;
  const bool lets_in = verdict == Subscribing::Open || (asked && verdict == Subscribing::Webhook) ||
                       (verdict == Subscribing::Token && (asked || shows_token(record, message)));
  if (lets_in) return nullptr;
  policy_.refused(verdict);
  if (verdict == Subscribing::Full) return "too many subscribers";
  return verdict == Subscribing::NoName ? "invalid topic" : kUnauthorized;
}

bool TopicRules::shows_token(const record::Record& record, const Message& message) const {
  const config::WebSocketAction* action = action_of(record);
  if (action == nullptr || action->token == nullptr || message.binary) return false;
  const Result<json::Value> payload = json::parse(message.payload);
  const auto token = payload ? payload.value().get_string("token") : std::nullopt;
  if (!token) return false;
  return verify_channel_token(action, *token, message.topic, record::text_of(context_.arena, record.user)).valid();
}

const char* TopicRules::refuse_publish(const Message& message) const {
  using Publishing = ChannelPolicy::Publishing;
  if (is_reserved(message.event) || message.event.size() > ipc::kEventBytesMax) {
    context_.metrics.add(metrics::Metric::PublicationsRefusedEvent);
    return "invalid event";
  }
  if (message.topic.starts_with(hub::kUserChannelPrefix)) {
    policy_.refused(Publishing::Denied);
    return kUnauthorized;
  }
  switch (policy_.may_publish(message.topic, message.payload.size())) {
    case Publishing::Allowed:
      break;
    case Publishing::Denied:
      return kUnauthorized;
    case Publishing::TooFast:
      return "rate limited";
    case Publishing::TooLarge:
      return "too large";
  }
  return nullptr;
}

}  // namespace beamgate::proto::phoenix
