#include "worker/proto/channel_policy.h"

#include <algorithm>

#include "common/base/clock.h"
#include "common/base/segments.h"
#include "common/config/channel_rules.h"
#include "worker/record/text_block.h"
#include "worker/record/uid.h"

namespace beamgate::proto {

using config::ChannelRules;

ChannelPolicy::ChannelPolicy(Context& context) : context_(context) {
  context_.hub.set_is_pattern([this](std::string_view name) { return rules_of(name).wildcards; });
}

ChannelPolicy::~ChannelPolicy() { context_.hub.set_is_pattern({}); }

const ChannelRules& ChannelPolicy::rules_of(std::string_view channel) const {
  return config::rules_of(context_.settings.current().http, channel);
}

ChannelPolicy::Subscribing ChannelPolicy::may_subscribe(std::string_view channel) const {
  if (!hub::Hub::valid_channel(channel)) return Subscribing::NoName;
  const ChannelRules& rules = rules_of(channel);
  if (rules.subscribers_max > 0 && context_.hub.local_subscribers(channel) >= rules.subscribers_max) {
    return Subscribing::Full;
  }
  switch (rules.access) {
    case ChannelRules::Access::Open: return Subscribing::Open;
    case ChannelRules::Access::Token: return Subscribing::Token;
    case ChannelRules::Access::Webhook: return Subscribing::Webhook;
    case ChannelRules::Access::Denied: break;
  }
  return Subscribing::Denied;
}

ChannelPolicy::Publishing ChannelPolicy::may_publish(std::string_view channel, size_t bytes) {
  const ChannelRules& rules = rules_of(channel);
  // A pattern is no place to publish in.
  if (!rules.client_publish || (rules.wildcards && has_wildcard(channel))) return Publishing::Denied;
  if (bytes > context_.settings.current().publication_bytes_max) return Publishing::TooLarge;
  if (rules.rate_milli == 0) return Publishing::Allowed;
  if (buckets_.size() >= kBucketsMax) buckets_.clear();
  Bucket& bucket = buckets_.try_emplace(std::string(channel)).first->second;
  const int64_t now_ms = monotonic_ms();
  const int64_t each_ms = std::max<int64_t>(1'000'000 / rules.rate_milli, 1);
  const int64_t full_at_ms = std::max(bucket.full_at_ms, now_ms) + each_ms;
  if (full_at_ms - now_ms > each_ms * rules.rate_burst) {
    context_.metrics.add(metrics::Metric::WebSocketRateExceeded);
    return Publishing::TooFast;
  }
  bucket.full_at_ms = full_at_ms;
  return Publishing::Allowed;
}

void ChannelPolicy::prepare(const record::Record& record, std::string_view channel, std::string& user,
                            hub::JoinOptions& options) const {
  const ChannelRules& rules = rules_of(channel);
  if (rules.presence && !options.member) {
    user = record::text_of(context_.arena, record.user);
    if (user.empty()) user = record::format_uid(record.uid);
    options.member = true;
    options.user = user;
  }
  if (options.member) {
    options.wants |= ipc::kStateMembers;
    options.members_max = rules.presence_limit;
  }
  if (rules.cache && (options.wants & (ipc::kStateRecover | ipc::kStateNewest)) == 0) {
    options.wants |= ipc::kStateNewest;
    options.publications_max = 1;
  }
}

}  // namespace beamgate::proto
