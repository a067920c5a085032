#include "worker/proto/centrifuge/channel_access.h"

#include "worker/hub/hub.h"
#include "worker/proto/channel_token.h"
#include "worker/record/text_block.h"
#include "worker/settings.h"

namespace beamgate::proto::centrifuge {

const config::WebSocketAction* ChannelAccess::action_of(const record::Record& record) const {
  const config::Location* location = context_.settings.location(record.location_id);
  return location == nullptr ? nullptr : &location->websocket;
}

Grant ChannelAccess::may_subscribe(const record::Record& record, std::string_view channel,
                                   std::string_view token) const {
  if (channel.starts_with(hub::kUserChannelPrefix)) return {.refused = ErrorCode::PermissionDenied};
  using Verdict = ChannelPolicy::Subscribing;
  const config::WebSocketAction* action = action_of(record);
  if (action == nullptr || action->token == nullptr) token = {};  // Nobody to ask about it.
  switch (policy_.may_subscribe(channel)) {
    case Verdict::Open:
    case Verdict::Webhook: return token.empty() ? Grant{} : check_token(record, channel, token);
    case Verdict::Token: return check_token(record, channel, token);
    case Verdict::Denied: break;
    case Verdict::Full: return {.refused = ErrorCode::LimitExceeded};
    case Verdict::NoName: return {.refused = ErrorCode::BadRequest};
  }
  return {.refused = ErrorCode::PermissionDenied};
}

void ChannelAccess::count_refused(std::string_view channel, std::string_view token, ErrorCode code) {
  using Verdict = ChannelPolicy::Subscribing;
  if (code == ErrorCode::LimitExceeded) return policy_.refused(Verdict::Full);
  const bool of_token = !token.empty() || rules(channel).access == config::ChannelRules::Access::Token;
  policy_.refused(of_token ? Verdict::Token : Verdict::Denied);
}

bool ChannelAccess::is_open(const record::Record& record, std::string_view channel) const {
  const bool is_asked_about = rules(channel).access == config::ChannelRules::Access::Webhook;
  return !is_asked_about && !may_subscribe(record, channel, {}).refused;
}

Grant ChannelAccess::check_token(const record::Record& record, std::string_view channel, std::string_view token) const {
  const crypto::Jwt jwt =
      verify_channel_token(action_of(record), token, channel, record::text_of(context_.arena, record.user));
  if (jwt.status == crypto::JwtStatus::Expired) return {.refused = ErrorCode::TokenExpired};
  if (!jwt.valid()) return {.refused = ErrorCode::PermissionDenied};
  Grant grant{.refused = std::nullopt, .expires_s = jwt.expires_s, .info = {}};
  if (const json::Value* info = jwt.claims.find("info")) grant.info = info->dump();
  return grant;
}

std::optional<ErrorCode> ChannelAccess::refuse_publish(const record::Record& record, std::string_view channel,
                                                       size_t bytes) {
  using Verdict = ChannelPolicy::Publishing;
  if (channel.starts_with(hub::kUserChannelPrefix) || !context_.hub.is_subscribed(record, channel)) {
    policy_.refused(Verdict::Denied);
    return ErrorCode::PermissionDenied;
  }
  switch (policy_.may_publish(channel, bytes)) {
    case Verdict::Allowed: return std::nullopt;
    case Verdict::Denied: break;
    case Verdict::TooFast: return ErrorCode::TooManyRequests;
    case Verdict::TooLarge: return ErrorCode::LimitExceeded;
  }
  return ErrorCode::PermissionDenied;
}

std::optional<ErrorCode> ChannelAccess::refuse_presence(const record::Record& record, std::string_view channel) const {
  if (channel.starts_with(hub::kUserChannelPrefix)) return ErrorCode::PermissionDenied;
  if (!rules(channel).presence) return ErrorCode::NotAvailable;
  return context_.hub.is_subscribed(record, channel) ? std::nullopt : std::optional(ErrorCode::PermissionDenied);
}

std::optional<ErrorCode> ChannelAccess::refuse_history(const record::Record& record, std::string_view channel) const {
  if (channel.starts_with(hub::kUserChannelPrefix)) return ErrorCode::PermissionDenied;
  if (!keeps_history(channel)) return ErrorCode::NotAvailable;
  return context_.hub.is_subscribed(record, channel) ? std::nullopt : std::optional(ErrorCode::PermissionDenied);
}

}  // namespace beamgate::proto::centrifuge
