#include "worker/proto/phoenix/topics.h"

#include "common/json/value.h"
#include "worker/net/connections.h"
#include "worker/proto/phoenix/payload.h"
#include "worker/proto/phoenix/presence.h"

namespace beamgate::proto::phoenix {
namespace {

using record::Record;

constexpr std::string_view kEmpty = "{}";

// What a client says of itself to the others: "meta" of its join's payload, if that is an object.
std::string meta_of(const Message& message) {
  if (message.binary) return {};
  const Result<json::Value> payload = json::parse(message.payload);
  const json::Value* meta = payload ? payload.value().find("meta") : nullptr;
  if (meta == nullptr || !meta->is_object()) return {};
  std::string text = meta->dump();
  return text.size() <= ipc::kMemberInfoBytesMax ? text : std::string();
}

}  // namespace

bool Topics::is_open(const Record& record) const {
  return record.phase == record::Phase::WebSocket && record.ws.close == record::CloseState::Open;
}

bool Topics::is_own_channel(const Record& record, std::string_view topic) const {
  return record.user != record::kNull && topic == hub::user_channel(ops_.user_of(record));
}

void Topics::send(Record& record, std::string_view frame, bool binary) {
  context_.connections.touch(record);
  websockets_.send(record, binary ? ws::Opcode::Binary : ws::Opcode::Text, frame);
}

void Topics::send(Record& record, const std::vector<Push>& pushes) {
  for (const Push& push : pushes) {
    if (!is_open(record)) return;
    send(record, push.frame, push.binary);
  }
}

void Topics::reply(Record& record, const Message& message, Status status, std::string_view response) {
  if (message.ref == kNoRef) return;
  send(record, text_reply(message.join_ref, message.ref, message.topic, status, response));
}

Topics::Standing Topics::standing_of(const Record& record, const Message& message) const {
  if (!context_.hub.is_subscribed(record, message.topic)) return Standing::Out;
  const Tag tag = decode_tag(context_.hub.tag_of(record, message.topic));
  if (tag.join_ref.empty()) return Standing::Out;  // The application has subscribed it, the client hasn't.
  if (message.join_ref != kNoRef && message.join_ref != tag.join_ref) return Standing::Stale;
  return tag.ref.empty() ? Standing::In : Standing::Joining;
}

bool Topics::may_join(Record& record, const Message& message, bool asked) {
  end(record, message.topic, kClose, kEmpty);
  if (!is_open(record)) return false;
  const char* reason = rules_.refuse_join(record, message, asked);
  if (reason == nullptr && record.subscription_count >= kTopicsMax) {
    context_.metrics.add(metrics::Metric::SubscriptionsRefusedChannel);
    reason = "too many channels joined";
  }
  if (reason == nullptr) return true;
  reply(record, message, Status::Error, reason_json(reason));
  return false;
}

void Topics::join(Record& record, const Message& message, std::string_view response, const std::vector<Push>& pushes) {
  const std::string behind = encode_pushes(pushes);
  const std::string tag = encode_tag({message.join_ref, message.ref, response, behind});
  const std::string meta = meta_of(message);
  std::string user;
  hub::JoinOptions options;
  options.tag = tag;
  options.info = meta;
  rules_.prepare(record, message.topic, user, options);
  context_.connections.touch(record);
  if (is_own_channel(record, message.topic)) {
    const bool kept = context_.hub.set_tag(record, message.topic, encode_tag({message.join_ref, {}, {}}));
    if (!kept) return reply(record, message, Status::Error, reason_json("unavailable"));
    reply(record, message, Status::Ok, response);
    return send(record, pushes);
  }
  const Result<void> joined = context_.hub.join(record, message.topic, options);
  if (joined) return;
  context_.metrics.add(metrics::Metric::SubscriptionsRefusedFull);
  reply(record, message, Status::Error, reason_json(joined.error().text));
}

void Topics::joined(Record& record, std::string_view text, const ipc::ChannelState& state) {
  if (!is_open(record)) return;
  const std::string copy(text);  // The hub's own is about to be replaced.
  const Tag tag = decode_tag(copy);
  Message message;
  message.join_ref = tag.join_ref;
  message.ref = tag.ref;
  message.topic = state.channel;
  if (!state.answered) return reply(record, message, Status::Error, reason_json("unavailable"));
  // Without memory for a shorter text the longer one stays: then it is no member of this topic to us.
  if (!context_.hub.set_tag(record, state.channel, encode_tag({tag.join_ref, {}, {}}))) {
    end(record, message.topic, kError, reason_json("unavailable"));
    return;
  }
  reply(record, message, Status::Ok, tag.response);
  send(record, decode_pushes(tag.pushes));
  if (rules_.has_presence(message.topic)) tell_members(record, message.join_ref, state);
  for (const ipc::Past& past : state.publications) {
    const Broadcast told = broadcast(state.channel, past.payload_kind, past.payload, past.origin);
    if (is_open(record) && !told.bytes.empty()) send(record, told.bytes, told.binary);
  }
}

Broadcast Topics::broadcast(std::string_view channel, ipc::PayloadKind kind, std::string_view payload,
                            const ipc::Origin& origin) const {
  Broadcast told = broadcast_of(channel, kind, payload, origin);
  if (told.bytes.empty()) context_.metrics.add(metrics::Metric::MessagesDroppedEvent);
  return told;
}

void Topics::tell_members(Record& record, std::string_view join_ref, const ipc::ChannelState& state) {
  if (!is_open(record)) return;
  if (state.listed) {
    send(record, text_frame(join_ref, kNoRef, state.channel, kPresenceState, presence_state(state.members)));
  } else {
    send(record, text_frame(join_ref, kNoRef, state.channel, kPresenceCount,
                            presence_count(state.users, state.connections)));
  }
}

void Topics::leave(Record& record, const Message& message) {
  reply(record, message, Status::Ok, kEmpty);
  if (is_open(record)) end(record, message.topic, kClose, kEmpty);
}

bool Topics::end(Record& record, std::string_view topic, std::string_view event, std::string_view payload) {
  if (!context_.hub.is_subscribed(record, topic)) return false;
  const std::string join_ref(decode_tag(context_.hub.tag_of(record, topic)).join_ref);
  const std::string name(topic);  // It may be the hub's own.
  unsubscribe(record, name);
  if (!join_ref.empty()) send(record, text_frame(join_ref, join_ref, name, event, payload));
  return true;
}

void Topics::unsubscribe(Record& record, std::string_view topic) {
  context_.connections.touch(record);
  if (is_own_channel(record, topic) && context_.hub.set_tag(record, topic, {})) return;
  context_.hub.unsubscribe(record, topic);
}

// --- Publishing.

bool Topics::refused_to_publish(Record& record, const Message& message) {
  const char* reason = rules_.refuse_publish(message);
  if (reason != nullptr) reply(record, message, Status::Error, reason_json(reason));
  return reason != nullptr;
}

bool Topics::publish(Record& record, const Message& message, std::string_view response,
                     const std::vector<Push>& pushes) {
  hub::PublishOptions options;
  options.kind = message.binary ? ipc::PayloadKind::Binary : ipc::PayloadKind::Json;
  options.except = record.uid;
  options.origin = {record.uid, ops_.user_of(record), message.event, {}};
  const record::ConnId id = context_.connections.id_of(record);
  if (message.ref == kNoRef) {
    if (!context_.hub.publish(message.topic, message.payload, options)) return false;
    return send(record, pushes), true;
  }
  Message answered = message;
  answered.payload.clear();
  const bool taken = context_.hub.publish(
      message.topic, message.payload, options,
      [this, id, answered, response = std::string(response), pushes](const hub::PublishReceipt& given) {
        receipt(id, answered, given, response, pushes);
      });
  if (!taken) return false;
  Awaited& awaited = awaited_[id.slot];
  if (!(awaited.id == id)) awaited = Awaited{id, 0};
  ++awaited.receipts;
  return true;
}

void Topics::receipt(record::ConnId id, const Message& message, const hub::PublishReceipt& receipt,
                     std::string_view response, const std::vector<Push>& pushes) {
  const auto found = awaited_.find(id.slot);
  if (found != awaited_.end() && found->second.id == id && --found->second.receipts == 0) {
    awaited_.erase(found);
  }
  Record* record = ops_.find_open(id);
  if (record == nullptr) return;
  context_.connections.touch(*record);
  receipt.accepted ? reply(*record, message, Status::Ok, response) : not_published(*record, message);
  send(*record, pushes);
}

void Topics::not_published(Record& record, const Message& message) {
  context_.metrics.add(metrics::Metric::PublicationsRefusedBus);
  reply(record, message, Status::Error, reason_json("unavailable"));
}

bool Topics::awaits_receipts(const Record& record) const {
  const record::ConnId id = context_.connections.id_of(record);
  const auto found = awaited_.find(id.slot);
  return found != awaited_.end() && found->second.id == id;
}

void Topics::forget(const Record& record) {
  awaited_.erase(context_.connections.id_of(record).slot);
}

}  // namespace beamgate::proto::phoenix
