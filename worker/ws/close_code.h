// Close codes: which ones may stand in a Close frame, and what a Close frame's payload says.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/ws/application.h"

namespace beamgate::ws {

constexpr size_t kControlBytesMax = 125;                       // RFC 6455 section 5.5.
constexpr size_t kCloseReasonBytesMax = kControlBytesMax - 2;  // Two bytes are the code.

// RFC 6455 section 7.4 and the IANA registry (up to 1014): codes that a peer may send.
bool valid_close_code(uint16_t code);

struct ClosePayload {
  uint16_t code = kCloseNoStatus;  // kCloseNoStatus: the payload was empty.
  std::string_view reason;
  uint16_t violation = 0;          // Not 0: the payload is malformed, answer with this code instead.
};

ClosePayload parse_close(std::string_view payload);

}  // namespace beamgate::ws
