// App channels: what the channels and users of a Pusher app are called on the node: its channel_prefix, then the name that
// the app and its clients know.
//
// Prefixes   End in "/", which no name of a Pusher client has: what begins with one belongs to the apps of that prefix.
// Users      The channel of a user keeps "#server-to-user-" in front of the prefix.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/config/model.h"

namespace beamgate::config {

inline constexpr size_t kChannelPrefixBytesMax = 50;

std::string channel_on_node(const App& app, std::string_view name);
std::string user_on_node(const App& app, std::string_view user);

// The longest prefix of an app that a channel's or user's name on the node begins with; empty: none.
std::string_view app_prefix_of(const Http& http, std::string_view name);
// The name on the node without it.
std::string name_in_app(const Http& http, std::string_view name);

}  // namespace beamgate::config
