#include "worker/proto/raw.h"

#include <algorithm>

#include "common/base/clock.h"
#include "common/json/value.h"
#include "worker/hub/hub.h"
#include "worker/net/connections.h"
#include "worker/settings.h"

namespace beamgate::proto {

using record::Record;

Raw::Raw(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets, ConnectionOps& ops)
    : context_(context),
      ops_(ops),
      queue_(context.arena),
      subjects_(context),
      bus_wait_(context),
      runner_(context, ops, bus_wait_),
      handshake_(context, exchanges, websockets, ops, runner_, subjects_),
      messages_(context, ops, runner_, subjects_) {}

const std::shared_ptr<const config::Webhook>& Raw::endpoint_of(const Record& record) const {
  static const std::shared_ptr<const config::Webhook> kNone;
  const config::Location* location = context_.settings.location(record.location_id);
  return location == nullptr ? kNone : location->websocket.webhook;
}

void Raw::on_open(Record& record) {
  const auto& endpoint = endpoint_of(record);
  if (endpoint != nullptr) post(record, endpoint, "beamgate.connected", "{}");
}

void Raw::on_message(Record& record, ws::Opcode opcode, std::span<char> payload) {
  if (record.ws.close != record::CloseState::Open) return;
  const bool binary = opcode == ws::Opcode::Binary;
  const std::string_view bytes(payload.data(), payload.size());
  const auto& endpoint = endpoint_of(record);
  if (endpoint != nullptr) return messages_.on_message(record, endpoint, binary, bytes);
  publish(record, binary, bytes);
}

bool Raw::may_move(const Record& record) { return !ops_.waits(record) && messages_.may_move(record); }

void Raw::on_adopted(Record& record) {
  if (record.hook_messages == 0) return;
  const auto& endpoint = endpoint_of(record);
  if (endpoint != nullptr) return messages_.begin(record, endpoint);
  publish_waiting(context_.connections.id_of(record));
}

void Raw::on_given(Record& record) {
  messages_.on_given(record);
  queue_.clear(record);
}

void Raw::on_gone(Record& record, const ws::Ending& ending) {
  context_.hub.unsubscribe_all(record);
  ops_.forget(record);
  const auto& endpoint = endpoint_of(record);
  if (endpoint == nullptr) {
    for (; record.hook_messages > 0; queue_.pop(record)) {
      const HookQueue::Message message = queue_.front(record);
      if (!publish_now(record, message.binary, message.bytes)) break;
    }
    return queue_.clear(record);
  }
  messages_.on_gone(record, endpoint);
  const int64_t duration_ms = std::max<int64_t>(wall_ms() - record.accepted_ms, 0);
  json::Value data = json::Value::object();
  data.set("code", int{ending.code}).set("reason", reason_of(ending)).set("duration_ms", duration_ms);
  post(record, endpoint, "beamgate.disconnected", data.dump());
}

void Raw::post(Record& record, const std::shared_ptr<const config::Webhook>& endpoint, std::string_view type,
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

// --- Without an application.

void Raw::publish(Record& record, bool binary, std::string_view bytes) {
  if (subjects_.publish_channel_of(record).empty()) return;
  if (record.hook_messages == 0 && publish_now(record, binary, bytes)) return;
  if (!queue_.push(record, binary, ++record.hook_sequence, bytes)) {
    return ops_.close(record, ws::kCloseTryAgainLater, "no memory");
  }
  if (record.hook_messages > 1) return;
  const record::ConnId id = context_.connections.id_of(record);
  bus_wait_.wait(id, [this, id] { publish_waiting(id); });
}

bool Raw::publish_now(const Record& record, bool binary, std::string_view bytes) {
  hub::PublishOptions options;
  options.kind = binary ? ipc::PayloadKind::Binary : ipc::PayloadKind::Text;
  return context_.hub.publish(subjects_.publish_channel_of(record), bytes, options);
}

void Raw::publish_waiting(record::ConnId id) {
  Record* record = ops_.find_open(id);
  if (record == nullptr) return;
  for (; record->hook_messages > 0; queue_.pop(*record)) {
    const HookQueue::Message message = queue_.front(*record);
    if (publish_now(*record, message.binary, message.bytes)) continue;
    return bus_wait_.wait(id, [this, id] { publish_waiting(id); });
  }
}

std::string_view reason_of(const ws::Ending& ending) {
  if (ending.code == ws::kCloseAbnormal) return "lost";
  if (ending.by_peer) return "client";
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
