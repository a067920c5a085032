// Channel token: a JWT that lets one user subscribe to one channel, as Centrifugo has them: its claims say "channel" and,
// where the location's token names it, the user.
#pragma once

#include <string_view>

#include "common/config/model.h"
#include "common/crypto/jwt.h"

namespace beamgate::proto {

// valid(): the token is good, and for this channel and user.  action: of the connection's location, or null.
crypto::Jwt verify_channel_token(const config::WebSocketAction* action, std::string_view token, std::string_view channel,
                                 std::string_view user);

}  // namespace beamgate::proto
