// Signature: how an application vouches for a client of the Pusher protocol, and a client proves it.
//
// Source   Pusher Channels protocol 7, "auth signatures": HMAC-SHA256 under the app's secret, in lower-case hex; what a
//          client shows is "<key>:<hex>".
// Errors   A comparison takes the same time wherever the texts differ, the key's half included.
#pragma once

#include <string>
#include <string_view>

#include "common/config/model.h"

namespace beamgate::pusher {

std::string sign(std::string_view secret, std::string_view text);
bool verify(std::string_view secret, std::string_view text, std::string_view hex);

// "auth" of pusher:subscribe.  channel_data as the client has sent it; empty where there is none.
bool verify_channel(const config::App& app, std::string_view socket_id, std::string_view channel,
                    std::string_view channel_data, std::string_view auth);

// "auth" of pusher:signin.
bool verify_user(const config::App& app, std::string_view socket_id, std::string_view user_data, std::string_view auth);

}  // namespace beamgate::pusher
