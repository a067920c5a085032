// Deflate offer: negotiation of permessage-deflate (RFC 7692 section 7.1).
//
// Offers are tried in the client's order; one with a parameter that is unknown, repeated, or has a bad value is
// declined, and so is one that zlib can't serve (a server window of 8 bits).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/config/model.h"
#include "worker/http/exchange.h"

namespace beamgate::ws {

struct DeflateParameters {
  uint8_t server_window_bits = 15;  // 9 to 15: of what we compress.
  uint8_t client_window_bits = 15;  // 8 to 15: of what the client compresses.
  bool server_no_takeover = false;
  bool client_no_takeover = false;
  bool operator==(const DeflateParameters&) const = default;
};

struct DeflateAnswer {
  bool malformed = false;                      // Sec-WebSocket-Extensions breaks its grammar: 400.
  std::optional<DeflateParameters> parameters; // Absent: no compression.
  std::string field;                           // What Sec-WebSocket-Extensions answers; empty without parameters.
};

DeflateAnswer negotiate_deflate(const http::Request& request, const config::WebSocketAction& action);

}  // namespace beamgate::ws
