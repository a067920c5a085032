// Channel access: what clients may do in a channel: ChannelPolicy's word as Centrifuge's errors, tokens of
// subscriptions, and nobody else's user channel.
//
// Owner      Centrifuge; one per worker.
// Thread     Worker loop thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/config/model.h"
#include "worker/context.h"
#include "worker/hub/hub.h"
#include "worker/proto/centrifuge/codes.h"
#include "worker/proto/channel_policy.h"
#include "worker/record/record.h"

namespace beamgate::proto::centrifuge {

// What a subscription token (JWT) says: "channel" and "sub" have to be right, "exp" ends the subscription, and "info"
// tells the others of its owner.
struct Grant {
  std::optional<ErrorCode> refused;
  int64_t expires_s = 0;
  std::string info;  // JSON, or empty.
};

class ChannelAccess {
 public:
  ChannelAccess(Context& context, ChannelPolicy& policy) : context_(context), policy_(policy) {}

  const config::ChannelRules& rules(std::string_view channel) const { return policy_.rules_of(channel); }
  // Its subscribers have a place in it to go on from.
  bool keeps_history(std::string_view channel) const {
    return rules(channel).history > 0 && !context_.hub.is_pattern(channel);
  }
  const config::WebSocketAction* action_of(const record::Record& record) const;

  // Without the webhook's word, which is asked for where the rules say so.
  Grant may_subscribe(const record::Record& record, std::string_view channel, std::string_view token) const;
  // Counts a subscription that is refused.
  void count_refused(std::string_view channel, std::string_view token, ErrorCode code);
  // To whoever asks, without a token and without anybody's word.
  bool is_open(const record::Record& record, std::string_view channel) const;
  // By its token alone.
  Grant check_token(const record::Record& record, std::string_view channel, std::string_view token) const;
  // Takes what it allows from the channel's rate.
  std::optional<ErrorCode> refuse_publish(const record::Record& record, std::string_view channel, size_t bytes);
  std::optional<ErrorCode> refuse_presence(const record::Record& record, std::string_view channel) const;
  std::optional<ErrorCode> refuse_history(const record::Record& record, std::string_view channel) const;

 private:
  Context& context_;
  ChannelPolicy& policy_;
};

}  // namespace beamgate::proto::centrifuge
