#include "worker/proto/channel_policy.h"

#include <algorithm>

#include "common/base/clock.h"
#include "common/config/channel_rules.h"
#include "common/ipc/rate_table.h"
#include "worker/net/connections.h"
#include "worker/record/text_block.h"
#include "worker/record/uid.h"

namespace beamgate::proto {

using config::ChannelRules;

namespace {

constexpr uint64_t kRateKeyBytes = uint64_t{8} << 20;  // Of the table's; as a zone of limit_req takes.

}  // namespace

ChannelPolicy::ChannelPolicy(Context& context) : context_(context), hash_(context.address_seed) {
  context_.hub.set_is_pattern([this](std::string_view name) { return rules_of(name).wildcards; });
  context_.hub.set_limit(this);
  follow();
}

ChannelPolicy::~ChannelPolicy() {
  context_.hub.set_is_pattern({});
  context_.hub.set_limit(nullptr);
}

void ChannelPolicy::follow() {
  const config::Http& http = context_.settings.current().http;
  const auto bounds = [](const auto& rules) { return rules != nullptr && rules->subscribers_max > 0; };
  bounds_subscribers_ = bounds(http.users) || std::any_of(http.channels.begin(), http.channels.end(), bounds);
  if (bounds_subscribers_) context_.hub.recount();  // Those who have come before there was a limit.
}

const ChannelRules& ChannelPolicy::rules_of(std::string_view channel) const {
  return config::rules_of(context_.settings.current().http, channel);
}

ChannelPolicy::Subscribing ChannelPolicy::may_subscribe(std::string_view channel) const {
  if (!hub::Hub::valid_channel(channel)) return Subscribing::NoName;
  const ChannelRules& rules = rules_of(channel);
  if (rules.subscribers_max > 0 && is_full(channel, rules.subscribers_max)) return Subscribing::Full;
  switch (rules.access) {
    case ChannelRules::Access::Open: return Subscribing::Open;
    case ChannelRules::Access::Token: return Subscribing::Token;
    case ChannelRules::Access::Webhook: return Subscribing::Webhook;
    case ChannelRules::Access::Denied: break;
  }
  return Subscribing::Denied;
}

ChannelPolicy::Publishing ChannelPolicy::may_publish(std::string_view channel, size_t bytes) {
  const Publishing verdict = judge(channel, bytes);
  if (verdict != Publishing::Allowed) refused(verdict);
  return verdict;
}

void ChannelPolicy::refused(Publishing why) {
  using metrics::Metric;
  switch (why) {
    case Publishing::Allowed: return;
    case Publishing::Denied: return context_.metrics.add(Metric::PublicationsRefusedDenied);
    case Publishing::TooFast: return context_.metrics.add(Metric::PublicationsRefusedRate);
    case Publishing::TooLarge: return context_.metrics.add(Metric::PublicationsRefusedTooLarge);
  }
}

void ChannelPolicy::refused(Subscribing why) {
  using metrics::Metric;
  switch (why) {
    case Subscribing::Token: return context_.metrics.add(Metric::SubscriptionsRefusedToken);
    case Subscribing::Full: return context_.metrics.add(Metric::SubscriptionsRefusedFull);
    case Subscribing::Open:
    case Subscribing::Webhook:
    case Subscribing::Denied:
    case Subscribing::NoName: break;
  }
  context_.metrics.add(Metric::SubscriptionsRefusedChannel);
}

ChannelPolicy::Publishing ChannelPolicy::judge(std::string_view channel, size_t bytes) {
  const ChannelRules& rules = rules_of(channel);
  // A pattern is no place to publish in.
  if (!rules.client_publish || context_.hub.is_pattern(channel)) return Publishing::Denied;
  if (bytes > context_.settings.publication_bytes_max()) return Publishing::TooLarge;
  if (rules.rate_milli == 0 || context_.rates == nullptr) return Publishing::Allowed;
  static const auto kWindow = ipc::RateTable::window("channel_rate", kRateKeyBytes);
  // The burst is what may come at once, the first publication included.
  const uint32_t burst = std::min(rules.rate_burst, ipc::RateTable::kBurstMax);
  const ipc::RateTable::Rate rate{rules.rate_milli, (burst - 1) * 1'000};
  const auto taken = context_.rates->take(kWindow, key_of("channel_rate", channel), rate, monotonic_ms());
  return taken.admitted ? Publishing::Allowed : Publishing::TooFast;
}

Result<hub::Subscribed> ChannelPolicy::subscribe(record::Record& record, std::string_view channel) {
  hub::Hub& hub = context_.hub;
  const bool of_users = channel.starts_with(hub::kUserChannelPrefix);  // Whose members are the users themselves.
  std::string user;
  hub::JoinOptions options;
  if (hub::Hub::valid_channel(channel) && !of_users) prepare(record, channel, user, options);
  options.wants = static_cast<uint8_t>(options.wants & ~ipc::kStateMembers);
  const bool is_there = hub.is_subscribed(record, channel);
  const bool plain = !options.member && (is_there || options.wants == 0);
  if (plain || (is_there && hub.member_info(record, channel))) return hub.subscribe(record, channel);
  context_.connections.touch(record);
  const std::string name(channel);  // It may be the hub's own.
  if (is_there) hub.unsubscribe(record, name);
  if (const auto joined = hub.join(record, name, options); !joined) return joined.error();
  return hub.is_joining(record, name) ? hub::Subscribed::Pending : hub::Subscribed::Now;
}

// --- How many subscribers a channel has.

uint64_t ChannelPolicy::key_of(std::string_view what, std::string_view channel) const {
  return std::max<uint64_t>(hash_(std::string(what).append(1, ' ').append(channel)), 1);
}

std::optional<uint32_t> ChannelPolicy::take_place(std::string_view channel, uint32_t most) const {
  return context_.connections.count_key(key_of("subscribers_max", channel), most);
}

bool ChannelPolicy::is_full(std::string_view channel, uint32_t most) const {
  const auto place = take_place(channel, most);
  if (place) context_.connections.uncount_key(*place);
  return !place;
}

bool ChannelPolicy::admit(std::string_view channel, size_t here) {
  const uint32_t most = bounds_subscribers_ ? rules_of(channel).subscribers_max : 0;
  if (most == 0) return true;
  count(channel, here);
  const auto place = take_place(channel, most);
  if (place) counted_[std::string(channel)].push_back(*place);
  return place.has_value();
}

void ChannelPolicy::count(std::string_view channel, size_t here) {
  if (!bounds_subscribers_ && counted_.empty()) return;
  auto found = counted_.find(channel);
  if (found == counted_.end()) {
    if (here == 0 || !bounds_subscribers_ || rules_of(channel).subscribers_max == 0) return;
    found = counted_.try_emplace(std::string(channel)).first;
  }
  Entries& entries = found->second;
  // Who is here already stays, whatever the limit says by now.
  while (entries.size() < here) entries.push_back(*take_place(channel, UINT32_MAX));
  while (entries.size() > here) {
    context_.connections.uncount_key(entries.back());
    entries.pop_back();
  }
  if (entries.empty()) counted_.erase(found);
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
