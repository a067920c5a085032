#include "common/config/channel_rules.h"

#include <algorithm>

#include "common/base/glob.h"

namespace beamgate::config {
namespace {

size_t literal_characters(std::string_view pattern) {
  return pattern.size() - static_cast<size_t>(std::count_if(pattern.begin(), pattern.end(),
                                                            [](char c) { return c == '*' || c == '?'; }));
}

}  // namespace

const ChannelRules& rules_of_users() {
  static const ChannelRules kUsers = [] {
    ChannelRules rules;
    rules.pattern = std::string(kUserChannelPrefix) + "*";
    rules.access = ChannelRules::Access::Denied;
    rules.client_publish = false;
    rules.presence = true;
    rules.join_leave = false;
    return rules;
  }();
  return kUsers;
}

const ChannelRules& rules_of(const Http& http, std::string_view channel) {
  static const ChannelRules kDefaults;
  if (channel.starts_with(kUserChannelPrefix)) return http.users == nullptr ? rules_of_users() : *http.users;
  const ChannelRules* best = &kDefaults;
  size_t most = 0;
  for (const auto& rules : http.channels) {
    if (!matches(rules->pattern, channel)) continue;
    const size_t literal = literal_characters(rules->pattern) + 1;
    if (literal <= most) continue;
    most = literal;
    best = rules.get();
  }
  return *best;
}

bool is_cache_channel(std::string_view channel) {
  for (const std::string_view prefix : {"cache-", "private-cache-", "private-encrypted-cache-", "presence-cache-"}) {
    if (channel.starts_with(prefix)) return true;
  }
  return false;
}

}  // namespace beamgate::config
