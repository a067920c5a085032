// Handshake: is this request a WebSocket opening handshake that may be accepted (RFC 6455 section 4.2)?
//
// Pure functions over the parsed request; WebSockets acts on them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/config/model.h"
#include "worker/http/exchange.h"

namespace beamgate::ws {

struct Refusal {
  uint16_t status = 400;
  const char* text = "";  // For the client; static.
};

// 426: no WebSocket request at all, or another version than 13.  400: a malformed one.  405: not GET.
std::optional<Refusal> refuse_handshake(const http::Request& request);

// True when the location's list allows the request's Origin.  Only browsers send one and can't leave it out, so
// a request without Origin is not cross-site and passes.
bool origin_allowed(const http::Request& request, const config::WebSocketAction& action);

// The first of the location's subprotocols that the client offers; empty when there is none.
std::string_view choose_subprotocol(const http::Request& request, const config::WebSocketAction& action);
bool offers_subprotocol(const http::Request& request, std::string_view name);

// Sec-WebSocket-Accept for a valid Sec-WebSocket-Key.
std::string accept_key(std::string_view key);

}  // namespace beamgate::ws
