// Channel rules: which "channels" block holds for a channel.
#pragma once

#include <memory>
#include <string_view>

#include "common/config/model.h"

namespace beamgate::config {

// Of the blocks that fit the one with the most characters besides * and ?; those of "users" for the channels of users;
// the defaults where nothing fits.  Valid as long as `http`.
const ChannelRules& rules_of(const Http& http, std::string_view channel);

// What holds for the channels of users without a "users" block.
const ChannelRules& rules_of_users();

// Pusher's cache channels keep their newest publication whatever the rules say.
bool is_cache_channel(std::string_view channel);
inline constexpr int64_t kCacheChannelTtlMs = 30 * 60 * 1'000;

// Where publications for one user go: Pusher's name for it.
inline constexpr std::string_view kUserChannelPrefix = "#server-to-user-";
// Between that and the user: where those who watch the user are told whether it is online.
inline constexpr std::string_view kWatchPrefix = "#watch-";

// Of Pusher's channels whose subscribers know of each other.
inline constexpr std::string_view kPresencePrefix = "presence-";

}  // namespace beamgate::config
