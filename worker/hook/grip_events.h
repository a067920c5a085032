// GRIP events: what happens on a WebSocket as the body of an HTTP request or response (application/websocket-events).
//
// Form     A concatenation of TYPE CRLF, or TYPE SP length in hex CRLF content CRLF.
// Limits   kEventsMax in one body; content as long as the body.
// Source   https://pushpin.org/docs/protocols/websocket-over-http/
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace beamgate::hook {

constexpr std::string_view kGripEventsType = "application/websocket-events";

struct GripEvent {
  enum class Kind : uint8_t { Open, Text, Binary, Ping, Pong, Close, Disconnect };
  Kind kind = Kind::Open;
  std::string_view content;  // Of Close: two bytes of a code and a reason, or nothing.
};

// Open, Ping, Pong, Close and Disconnect have no length when they have no content.
void write_grip_event(GripEvent::Kind kind, std::string_view content, std::string& out);

// Views into the body.
Result<std::vector<GripEvent>> parse_grip_events(std::string_view body);

// The value of Grip-Sig: a JWT (HS256) that is good for an hour.
std::string grip_signature(std::string_view key, std::string_view issuer, int64_t now_s);

}  // namespace beamgate::hook
