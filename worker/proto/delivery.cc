#include "worker/proto/delivery.h"

#include <type_traits>
#include <utility>

#include "common/fault/fault.h"
#include "worker/record/frame.h"

namespace beamgate::proto {

// A message and the frames of it that were needed so far.
class Delivery::Shared {
 public:
  Shared(record::Arena& arena, Encoded message) : arena_(arena), message_(std::move(message)) {}
  Shared(Shared&& other) noexcept
      : arena_(other.arena_),
        message_(std::move(other.message_)),
        plain_(std::exchange(other.plain_, record::kNull)),
        compressed_(std::exchange(other.compressed_, record::kNull)),
        pinging_(std::exchange(other.pinging_, record::kNull)),
        bytes_(std::exchange(other.bytes_, record::kNull)) {}
  ~Shared() {
    for (const record::Ref frame : {plain_, compressed_, pinging_, bytes_}) record::release_frame(arena_, frame);
  }

  uint64_t except() const { return message_.except; }
  std::string_view payload() const { return message_.bytes; }
  ws::Opcode opcode() const { return message_.binary ? ws::Opcode::Binary : ws::Opcode::Text; }

  // kNull when the arena is full.
  record::Ref plain(ws::WebSockets& websockets) {
    if (plain_ == record::kNull) plain_ = websockets.encode_message(opcode(), message_.bytes);
    return plain_;
  }
  record::Ref compressed(ws::WebSockets& websockets) {
    if (compressed_ == record::kNull) compressed_ = websockets.encode_message(opcode(), message_.bytes, true);
    return compressed_;
  }
  record::Ref pinging(ws::WebSockets& websockets, std::string_view ping) {
    if (pinging_ == record::kNull) pinging_ = websockets.encode_message(opcode(), message_.bytes, false, ping);
    return pinging_;
  }
  record::Ref bytes() {
    if (bytes_ == record::kNull) bytes_ = record::make_frame(arena_, message_.bytes);
    return bytes_;
  }

 private:
  record::Arena& arena_;
  const Encoded message_;
  record::Ref plain_ = record::kNull;
  record::Ref compressed_ = record::kNull;
  record::Ref pinging_ = record::kNull;
  record::Ref bytes_ = record::kNull;  // As they are, for connections that are no WebSockets.
};

void Delivery::set_websockets(ws::WebSockets& websockets) {
  websockets_ = &websockets;
  websockets.set_pong_watch(receipts_);
}

void Delivery::deliver(const hub::Publication& publication, std::span<const uint32_t> slots) {
  fault::obey(publication.payload);
  send_all(publication, slots);
}

void Delivery::deliver_presence(const ipc::PresenceChange& change, std::span<const uint32_t> slots) {
  send_all(change, slots);
}

// Each protocol's messages are made when its first subscriber comes.
template <typename Event>
void Delivery::send_all(const Event& event, std::span<const uint32_t> slots) {
  record::Arena& arena = connections_.arena();
  std::array<std::vector<Shared>, std::tuple_size_v<decltype(encoders_)>> messages;
  std::array<bool, std::tuple_size_v<decltype(encoders_)>> encoded{};
  uint64_t except = 0;
  bool skips_slow = false;
  if constexpr (std::is_same_v<Event, hub::Publication>) {
    except = event.except;
    skips_slow = (event.flags & ipc::kDeliverSkipsSlow) != 0;
  }
  for (size_t i = slots.size(); i-- > 0;) {
    record::Record& record = arena.records()[slots[i]];
    Encoder* encoder = encoder_of(record);
    if (encoder == nullptr || (except != 0 && record.uid == except)) continue;
    if constexpr (std::is_same_v<Event, hub::Publication>) {
      if (!event.origin.meta.empty() && !encoder->wants(record, event)) continue;
    }
    const auto protocol = static_cast<size_t>(record.protocol);
    if (!std::exchange(encoded[protocol], true)) {
      std::vector<Encoded> all;
      encoder->encode(event, all);
      for (Encoded& one : all) messages[protocol].emplace_back(arena, std::move(one));
    }
    if (messages[protocol].empty()) continue;
    if constexpr (std::is_same_v<Event, hub::Publication>) {
      if (skips_slow && is_slow(record)) {
        skip(record, *encoder, event);
        continue;
      }
    }
    send_each(record, *encoder, messages[protocol]);
  }
}

void Delivery::send_each(record::Record& record, Encoder& encoder, std::span<Shared> messages) {
  const record::ConnId id = connections_.id_of(record);
  const bool pings = receipts_.is_open() && !receipts_.ping().empty() && record.phase == record::Phase::WebSocket;
  bool is_sent = true;
  for (Shared& message : messages) {
    if (message.except() != 0 && message.except() == record.uid) continue;
    const bool is_last = &message == &messages.back();
    is_sent &= send(record, encoder, message, pings && is_last ? receipts_.ping() : std::string_view());
    if (record.generation != id.generation) break;  // The slow-reader policy has closed it.
  }
  if (!receipts_.is_open()) return;
  is_sent ? receipts_.note_sent(id, pings) : receipts_.note_dropped();
}

bool Delivery::is_slow(const record::Record& record) const {
  return connections_.outbound_queued(record) > record.outbound_limit / 2;
}

// slow_reader skip.  Where it can be recovered, the subscriber is told that it has missed something.
void Delivery::skip(record::Record& record, Encoder& encoder, const hub::Publication& publication) {
  metrics_.add(metrics::Metric::MessagesDroppedSkipped);
  if (receipts_.is_open()) receipts_.note_dropped();
  if ((publication.flags & ipc::kDeliverIsKept) != 0) encoder.on_gap(record, publication.channel, publication.offset);
}

bool Delivery::send(record::Record& record, Encoder& encoder, Shared& message, std::string_view ping) {
  const record::Ref frame = frame_for(record, message, ping);
  const bool is_websocket = record.phase == record::Phase::WebSocket;
  if (frame == record::kNull) {
    if (is_websocket && ping.empty()) return websockets_->send(record, message.opcode(), message.payload());
    metrics_.add(metrics::Metric::MessagesDroppedMemory);
    return false;
  }
  if (!is_websocket) {
    // Before it: a poll that is answered is nobody's any more.
    websockets_->show(record, ws::Tap::Way::Sent, message.opcode(), message.payload());
    return encoder.send(record, frame);
  }
  if (!websockets_->send_frame(record, frame)) return false;
  websockets_->show(record, ws::Tap::Way::Sent, message.opcode(), message.payload());
  return true;
}

// kNull: it has to have one of its own, or the arena is full.
record::Ref Delivery::frame_for(const record::Record& record, Shared& message, std::string_view ping) {
  if (record.phase != record::Phase::WebSocket) return message.bytes();
  if (!ping.empty()) return message.pinging(*websockets_, ping);
  switch (websockets_->variant_for(record, message.payload().size())) {
    case ws::WebSockets::Variant::Plain:
      return message.plain(*websockets_);
    case ws::WebSockets::Variant::Compressed:
      return message.compressed(*websockets_);
    case ws::WebSockets::Variant::Own:
      break;
  }
  return record::kNull;
}

void Delivery::deliver_gap(std::string_view channel, uint64_t offset, std::span<const uint32_t> slots) {
  log_.warn("publications_missed", {{"channel", channel}, {"offset", offset}, {"subscribers", slots.size()}});
  for (size_t i = slots.size(); i-- > 0;) {
    record::Record& record = connections_.arena().records()[slots[i]];
    if (Encoder* encoder = encoder_of(record)) encoder->on_gap(record, channel, offset);
  }
}

// Joins of a handshake are waited for by who is there then, and those of a user's channel by nobody.
void Delivery::joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state) {
  if (tag.empty() && state.channel.starts_with(hub::kUserChannelPrefix)) return;
  if (record.phase == record::Phase::WebSocket) return websockets_->on_joined(record, tag, state);
  if (Encoder* encoder = encoder_of(record)) encoder->on_joined(record, tag, state);
}

}  // namespace beamgate::proto
