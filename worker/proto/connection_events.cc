#include "worker/proto/connection_events.h"

#include <algorithm>

#include "common/base/clock.h"
#include "common/json/value.h"

namespace beamgate::proto {

void ConnectionEvents::connected(record::Record& record, const Endpoint& endpoint) {
  post(record, endpoint, "beamgate.connected", "{}");
}

void ConnectionEvents::disconnected(record::Record& record, const Endpoint& endpoint, const ws::Ending& ending) {
  const int64_t duration_ms = std::max<int64_t>(wall_ms() - record.accepted_ms, 0);
  json::Value data = json::Value::object();
  data.set("code", int{ending.code}).set("reason", reason_of(ending)).set("duration_ms", duration_ms);
  post(record, endpoint, "beamgate.disconnected", data.dump());
}

void ConnectionEvents::post(record::Record& record, const Endpoint& endpoint, std::string_view type,
                            std::string_view data) {
  hook::Event event;
  event.endpoint = endpoint;
  event.type = type;
  event.subject = subjects_.of(record);
  record::touch(context_.arena, record);
  event.sequence = ++record.hook_sequence;
  event.data = data;
  context_.webhooks.post(event);
}

std::string_view reason_of(const ws::Ending& ending) {
  if (ending.code == ws::kCloseAbnormal) return "lost";
  if (ending.by_peer) return "client";
  if (ending.silent) return "idle";
  switch (ending.code) {
    case ws::kCloseGoingAway: return "shutdown";
    case ws::kCloseProtocolError:
    case ws::kCloseUnsupportedData:
    case ws::kCloseInvalidPayload: return "protocol_error";
    case ws::kClosePolicyViolation: return "policy";
    case ws::kCloseMessageTooBig: return "too_big";
    case ws::kCloseInternalError: return "internal_error";
    case ws::kCloseServiceRestart: return "restart";
    case ws::kCloseTryAgainLater: return "overloaded";
    default: return "application";
  }
}

}  // namespace beamgate::proto
