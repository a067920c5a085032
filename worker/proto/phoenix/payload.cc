#include "worker/proto/phoenix/payload.h"

#include "common/json/value.h"
#include "worker/proto/phoenix/frames.h"
#include "worker/proto/phoenix/message.h"

namespace beamgate::proto::phoenix {

std::string json_of(ipc::PayloadKind kind, std::string_view payload) {
  if (kind == ipc::PayloadKind::Json || json::parse(payload).ok()) return std::string(payload);
  std::string out;
  json::append_string(out, payload);
  return out;
}

Broadcast broadcast_of(std::string_view channel, ipc::PayloadKind kind, std::string_view payload,
                       const ipc::Origin& origin) {
  const std::string_view event = origin.event.empty() ? kDefaultEvent : origin.event;
  if (is_reserved(event)) return {};
  if (kind == ipc::PayloadKind::Binary) return {true, binary_broadcast(channel, event, payload)};
  return {false, text_broadcast(channel, event, json_of(kind, payload))};
}

}  // namespace beamgate::proto::phoenix
