// Handshake: what a Phoenix client says of itself when it comes, over either transport.
#pragma once

#include <string>
#include <string_view>

#include "worker/http/exchange.h"

namespace beamgate::proto::phoenix {

constexpr std::string_view kSubprotocol = "phoenix";
constexpr std::string_view kVersionText = "Only serializer V2 is spoken here: connect with vsn=2.0.0.\n";
constexpr std::string_view kTokenText = "A valid token is wanted.\n";

// "vsn" is 2.0 something.  Without it 1.0.0 is meant, whose frames are objects.
bool speaks_version(const http::Request& request);

// The authToken of phoenix.js: from a subprotocol "base64url.bearer.phx.<base64>", or from
// X-Phoenix-AuthToken, which long polls have.  Empty: none that can be read.
std::string auth_token(const http::Request& request);

// What websocket_token makes of it; phoenix.js's params may have it too, as "token", where no subprotocol or
// field does.
struct Credentials {
  bool accepted = true;  // False: a token is wanted, and this is none.
  std::string token;
  std::string user;  // Of the token; empty without websocket_token.
};
Credentials credentials_of(const http::Request& request);

// For beamgate.connect: "beamgate-auth-token: ..." as a line; empty for no token.
std::string token_fields(std::string_view token);

}  // namespace beamgate::proto::phoenix
