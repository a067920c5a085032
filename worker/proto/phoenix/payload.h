// Payload: what a publication is to a client of the Phoenix protocol.
#pragma once

#include <string>
#include <string_view>

#include "common/ipc/messages.h"

namespace beamgate::proto::phoenix {

constexpr std::string_view kDefaultEvent = "message";

// JSON as it is; a text that is JSON as it is too, any other as a JSON string.  REQUIRES: not binary.
std::string json_of(ipc::PayloadKind kind, std::string_view payload);

struct Broadcast {
  bool binary = false;
  std::string bytes;
};

// Empty bytes: nothing that a client should see, because it would be one of the protocol's own events.
Broadcast broadcast_of(std::string_view channel, ipc::PayloadKind kind, std::string_view payload,
                       const ipc::Origin& origin);

}  // namespace beamgate::proto::phoenix
