#include "worker/move/record_tlv.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "common/base/bytes.h"
#include "common/base/crc32c.h"
#include "common/ipc/wire.h"
#include "worker/ws/deflate.h"
#include "worker/ws/message_reader.h"
#include "worker/ws/utf8_stream.h"

namespace beamgate::move {
namespace {

using record::CloseState;
using record::Phase;
using record::Protocol;
using record::Record;

constexpr std::string_view kMagic = "BGH1";
constexpr size_t kBatchHeadBytes = 4 + 2 + 2 + 8 + 4 + 4 + 4 + 4;
constexpr size_t kTotalAt = 24;
constexpr size_t kConnectionsAt = 20;
constexpr size_t kCrcAt = 28;
constexpr size_t kConnectionHeadBytes = 8 + 8 + 2 + 2 + 4;
constexpr uint16_t kCritical = 0x8000;
constexpr size_t kNoteBytesMax = 64 << 10;

enum class Type : uint16_t {
  Basics = 0x8001,
  Peer = 0x8002,
  Times = 0x8003,
  Carry = 0x8004,
  Outbound = 0x8005,
  WebSocket = 0x8006,
  Message = 0x8007,
  User = 0x8008,
  AppState = 0x8009,
  Handshake = 0x800a,
  Subscription = 0x800b,
  HookMessage = 0x800c,
  SentHistory = 0x800d,
  ReceivedHistory = 0x800e,
  Counters = 0x000f,
  Announcement = 0x0010,
  CountedKey = 0x0011,
  SubscriptionNote = 0x8012,  // Of the subscription before it.
  SubscriptionPresence = 0x0013,
  Tls = 0x8014,
};

// Each group of fields is listed once, for the encoder and the decoder.
template <typename V, typename R>
void basics(V& v, R& r) {
  v(r.phase), v(r.protocol), v(r.flags), v(r.pauses), v(r.location_id), v(r.listen_id), v(r.outbound_limit);
  v(r.hook_sequence), v(r.keepalive_count);
}
template <typename V, typename R>
void web_socket(V& v, R& r) {
  uint32_t mask = load_le<uint32_t>(r.ws.mask);
  v(r.ws.payload_remaining), v(mask), v(r.ws.frame_flags), v(r.ws.message_opcode), v(r.ws.message_flags);
  v(r.ws.utf8_state), v(r.ws.deflate_flags), v(r.ws.deflate_window_bits), v(r.ws.close), v(r.ws.closed_by_peer);
  v(r.ws.close_code);
  if constexpr (!std::is_const_v<R>) store_le(r.ws.mask, mask);
}
template <typename V, typename R>
void peer(V& v, R& r) {
  uint64_t halves[2] = {load_le<uint64_t>(r.peer_address), load_le<uint64_t>(r.peer_address + 8)};
  v(r.peer_family), v(r.peer_port), v(halves[0]), v(halves[1]), v(r.accepted_ms);
  if constexpr (!std::is_const_v<R>) {
    store_le(r.peer_address, halves[0]);
    store_le(r.peer_address + 8, halves[1]);
  }
}
template <typename V, typename R>
void counters(V& v, R& r) {
  v(r.bytes_received), v(r.bytes_sent), v(r.messages_received), v(r.messages_sent);
}

template <typename V, typename E>
void endpoint(V& v, E& e) {
  uint64_t halves[2] = {load_le<uint64_t>(e.address), load_le<uint64_t>(e.address + 8)};
  v(e.family), v(e.port), v(halves[0]), v(halves[1]);
  if constexpr (!std::is_const_v<E>) {
    store_le(e.address, halves[0]);
    store_le(e.address + 8, halves[1]);
  }
}
template <typename V, typename A>
void announcement(V& v, A& a) {
  endpoint(v, a.peer), endpoint(v, a.source), endpoint(v, a.destination);
}

// A fixed number of bytes.
template <typename V, size_t bytes>
void secret(V& v, const uint8_t (&from)[bytes]) {
  v(std::string_view(reinterpret_cast<const char*>(from), bytes));
}
template <size_t bytes>
void secret(ipc::Decoder& v, uint8_t (&to)[bytes]) {
  std::string_view text;
  v(text);
  if (text.size() != bytes) return v.fail();
  memcpy(to, text.data(), bytes);
}
template <typename V, typename S>
void tls_state(V& v, S& s) {
  auto& progress = s.protection.progress;
  uint32_t fragment = load_le<uint32_t>(progress.fragment);
  v(s.protection.suite), v(progress.opened), v(progress.sealed), v(progress.received_close), v(progress.owes_key_update);
  v(progress.empty_records), v(progress.key_updates), v(progress.fragment_bytes), v(fragment);
  secret(v, s.protection.peer_secret), secret(v, s.protection.own_secret);
  v(s.batch), v(s.batch_bytes), v(s.batch_sent), v(s.said_close);
  if constexpr (!std::is_const_v<S>) store_le(progress.fragment, fragment);
}

// --- Writing.

template <typename Fill>
void put(std::string& out, Type type, Fill&& fill) {
  ipc::Encoder encoder(out);
  encoder(type);
  encoder(uint32_t{0});
  const size_t begin = out.size();
  fill(encoder);
  store_le(out.data() + begin - sizeof(uint32_t), static_cast<uint32_t>(out.size() - begin));
}

void put_bytes(std::string& out, Type type, std::string_view bytes) {
  if (!bytes.empty()) put(out, type, [&](auto&) { out.append(bytes); });
}

void put_items(std::string& out, const Image& image) {
  const Record& fields = image.fields;
  put(out, Type::Basics, [&](auto& v) { basics(v, fields); });
  put(out, Type::Peer, [&](auto& v) { peer(v, fields); });
  put(out, Type::Times, [&](auto& v) { v(image.deadline_ms), v(image.last_received_ms); });
  put_bytes(out, Type::Carry, image.carry);
  for (size_t i = 0; i < image.outbound.size(); ++i) {
    put(out, Type::Outbound, [&](auto& v) {
      v(i == 0 ? fields.outbound_offset : uint32_t{0});
      out.append(image.outbound[i]);
    });
  }
  if (fields.phase == Phase::WebSocket) put(out, Type::WebSocket, [&](auto& v) { web_socket(v, fields); });
  put_bytes(out, Type::Message, image.message);
  put_bytes(out, Type::User, image.user);
  put_bytes(out, Type::AppState, image.app_state);
  put_bytes(out, Type::Handshake, image.handshake);
  for (const auto& position : image.subscriptions) {
    put(out, Type::Subscription, [&](auto& v) { v(position.channel), v(position.epoch), v(position.offset); });
    put_bytes(out, Type::SubscriptionNote, position.note);
    if (position.presence) put(out, Type::SubscriptionPresence, [&](auto& v) { v(*position.presence); });
  }
  for (const HookMessage& message : image.hooks) {
    put(out, Type::HookMessage, [&](auto& v) {
      v(message.binary), v(message.sequence);
      out.append(message.bytes);
    });
  }
  put_bytes(out, Type::SentHistory, image.sent_history);
  put_bytes(out, Type::ReceivedHistory, image.received_history);
  put(out, Type::Counters, [&](auto& v) { counters(v, fields); });
  if (image.tls) {
    const record::TlsState& tls = *image.tls;
    put(out, Type::Tls, [&](auto& v) { tls_state(v, tls), v(image.tls_carry), v(image.negotiated); });
  }
  const record::Extras& extras = image.extras;
  if (extras.announced.present != 0) put(out, Type::Announcement, [&](auto& v) { announcement(v, extras.announced); });
  for (uint32_t i = 0; i < extras.counts; ++i) {
    put(out, Type::CountedKey, [&](auto& v) { v(extras.counted[i].key); });
  }
}

// --- Reading.

// Fields and nothing behind them.
template <typename Fill>
bool take(std::string_view bytes, Fill&& fill) {
  ipc::Decoder decoder(bytes);
  fill(decoder);
  return decoder.finished();
}

// Fields, and the rest is bytes.  REQUIRES: `fill` takes this many bytes.
template <typename Fill>
bool take(std::string_view bytes, size_t size, std::string_view& rest, Fill&& fill) {
  if (bytes.size() < size) return false;
  rest = bytes.substr(size);
  return take(bytes.substr(0, size), fill);
}

// False: a critical item that is malformed or unknown.
bool take_item(uint16_t type, std::string_view bytes, Image& image) {
  Record& fields = image.fields;
  switch (static_cast<Type>(type)) {
    case Type::Basics:
      return take(bytes, [&](auto& v) { basics(v, fields); });
    case Type::Peer:
      return take(bytes, [&](auto& v) { peer(v, fields); });
    case Type::Times:
      return take(bytes, [&](auto& v) { v(image.deadline_ms), v(image.last_received_ms); });
    case Type::WebSocket:
      return take(bytes, [&](auto& v) { web_socket(v, fields); });
    case Type::Carry:
      image.carry = bytes;
      return true;
    case Type::Message:
      image.message = bytes;
      return true;
    case Type::User:
      image.user = bytes;
      return true;
    case Type::AppState:
      image.app_state = bytes;
      return true;
    case Type::Handshake:
      image.handshake = bytes;
      return true;
    case Type::SentHistory:
      image.sent_history = bytes;
      return true;
    case Type::ReceivedHistory:
      image.received_history = bytes;
      return true;
    case Type::Outbound: {
      uint32_t begun = 0;
      std::string_view frame;
      if (!take(bytes, sizeof begun, frame, [&](auto& v) { v(begun); })) return false;
      if (begun != 0 && (!image.outbound.empty() || begun >= frame.size())) return false;
      fields.outbound_offset += begun;
      image.outbound.push_back(frame);
      return !frame.empty();
    }
    case Type::Subscription: {
      hub::Hub::Position position;
      const bool good = take(bytes, [&](auto& v) { v(position.channel), v(position.epoch), v(position.offset); });
      image.subscriptions.push_back(position);
      return good && hub::Hub::valid_channel(position.channel);
    }
    case Type::SubscriptionNote:
      if (image.subscriptions.empty() || bytes.size() > kNoteBytesMax) return false;
      image.subscriptions.back().note = bytes;
      return true;
    case Type::SubscriptionPresence:
      if (image.subscriptions.empty()) return false;
      return take(bytes, [&](auto& v) { v(image.subscriptions.back().presence.emplace()); });
    case Type::HookMessage: {
      HookMessage message;
      const bool good = take(bytes, 5, message.bytes, [&](auto& v) { v(message.binary), v(message.sequence); });
      image.hooks.push_back(message);
      return good;
    }
    case Type::Tls: {
      record::TlsState& tls = image.tls.emplace();
      return take(bytes, [&](auto& v) { tls_state(v, tls), v(image.tls_carry), v(image.negotiated); });
    }
    case Type::Announcement:
      image.extras.announced.present = 1;
      return take(bytes, [&](auto& v) { announcement(v, image.extras.announced); });
    case Type::CountedKey: {
      record::Extras& extras = image.extras;
      if (extras.counts == record::Extras::kCountsMax) return false;
      return take(bytes, [&](auto& v) { v(extras.counted[extras.counts++].key); });
    }
    case Type::Counters:
      take(bytes, [&](auto& v) { counters(v, fields); });
      return true;
  }
  return (type & kCritical) == 0;
}

bool sound_deflate(const Image& image) {
  const record::WebSocketState& ws = image.fields.ws;
  if (ws.deflate_flags == 0) return image.sent_history.empty() && image.received_history.empty();
  const ws::DeflateParameters parameters = ws::load_parameters(ws);
  const auto good_window = [](uint8_t bits, const std::string& history) {
    return bits >= 8 && bits <= 15 && history.size() <= size_t{1} << bits;
  };
  return (ws.deflate_flags & ws::kDeflateNegotiated) != 0 && parameters.server_window_bits > 8 &&
         good_window(parameters.server_window_bits, image.sent_history) &&
         good_window(parameters.client_window_bits, image.received_history);
}

bool sound_web_socket(const Image& image) {
  const Record& fields = image.fields;
  const record::WebSocketState& ws = fields.ws;
  if (fields.protocol == Protocol::None || fields.protocol > record::kLastProtocol) return false;
  if (ws.close > CloseState::Both || ws.closed_by_peer > 1) return false;
  if (ws.message_opcode > static_cast<uint8_t>(ws::Opcode::Binary)) return false;
  if (ws.message_opcode == 0 && !image.message.empty()) return false;
  if (ws.utf8_state > static_cast<uint8_t>(ws::Utf8State::Invalid)) return false;
  return ws.payload_remaining < uint64_t{1} << 63 && sound_deflate(image);
}

bool sound_tls(const Image& image) {
  if (!image.tls) return true;
  const record::TlsState& tls = *image.tls;
  size_t queued = 0;
  for (const std::string_view frame : image.outbound) queued += frame.size();
  return tls.is_sound() && tls.settled_bytes() <= queued - image.fields.outbound_offset;
}

// Null: whatever code relies on is so.
const char* unsound(const Image& image) {
  constexpr uint8_t kPausesThatMove = record::kPauseWebhook | record::kPauseOutbound | record::kPauseLayer;
  const Record& fields = image.fields;
  if ((fields.flags & ~record::kFlagPeerClosed) != 0) return "flags";
  if ((fields.pauses & ~kPausesThatMove) != 0) return "pauses";
  if (image.carry.size() >= record::Arena::kLandingBytes / 2) return "carry";  // It is read into that.
  if (image.deadline_ms < 0 || image.last_received_ms < 0) return "times";
  if (fields.uid == 0) return "uid";
  if (fields.peer_family != AF_INET && fields.peer_family != AF_INET6 && fields.peer_family != AF_UNIX) return "peer";
  if (image.subscriptions.size() > hub::Hub::kSubscriptionsMax) return "subscriptions";
  if (!sound_tls(image)) return "TLS";
  if (fields.phase == Phase::WebSocket) return sound_web_socket(image) ? nullptr : "WebSocket state";
  const bool nothing_else = image.message.empty() && image.hooks.empty() && image.sent_history.empty() &&
                            image.received_history.empty();
  if (!nothing_else) return "state of a WebSocket";
  switch (fields.phase) {
    case Phase::Http: return image.subscriptions.empty() ? nullptr : "subscriptions";
    case Phase::EventStream: return fields.protocol == Protocol::EventStream ? nullptr : "protocol";
    case Phase::Line: return fields.protocol == Protocol::Line ? nullptr : "protocol";
    case Phase::LongPoll: return fields.protocol == Protocol::LongPoll ? nullptr : "protocol";
    default: return "phase";
  }
}

void take_connection(std::string_view items, Received& out) {
  Record& fields = out.image.fields;
  fields.phase = Phase::Free;  // Until Basics has come.
  while (!items.empty()) {
    uint16_t type = 0;
    std::string_view rest, bytes;
    if (!take(items, sizeof type, rest, [&](auto& v) { v(type); })) return void(out.refusal = "cut item");
    ipc::Decoder decoder(rest);
    decoder(bytes);
    if (!decoder.ok()) return void(out.refusal = "cut item");
    items = rest.substr(sizeof(uint32_t) + bytes.size());
    if (!take_item(type, bytes, out.image)) return void(out.refusal = "unknown or malformed item");
  }
  out.refusal = unsound(out.image);
}

}  // namespace

BatchWriter::BatchWriter(uint32_t batch, uint64_t build) {
  out_.append(kMagic);
  ipc::Encoder v(out_);
  v(kFormatMajor), v(kFormatMinor), v(build), v(batch), v(uint32_t{0}), v(uint32_t{0}), v(uint32_t{0});
  BG_ASSERT(out_.size() == kBatchHeadBytes);
}

void BatchWriter::add(const Image& image) {
  ipc::Encoder v(out_);
  v(image.fields.uid), v(image.fields.so_cookie), v(image.descriptor), v(uint16_t{1}), v(uint32_t{0});
  const size_t begin = out_.size();
  put_items(out_, image);
  store_le(out_.data() + begin - sizeof(uint32_t), static_cast<uint32_t>(out_.size() - begin));
  ++connections_;
}

std::string BatchWriter::finish() {
  store_le(out_.data() + kConnectionsAt, connections_);
  store_le(out_.data() + kTotalAt, static_cast<uint32_t>(out_.size()));
  store_le(out_.data() + kCrcAt, crc32c(out_));
  return std::move(out_);
}

Result<Batch> read_batch(std::string_view bytes) {
  if (bytes.size() < kBatchHeadBytes || !bytes.starts_with(kMagic)) return Error{Code::Invalid, 0, "no batch"};
  Batch batch;
  uint16_t major = 0, minor = 0;
  uint32_t connections = 0, total = 0, crc = 0;
  take(bytes.substr(kMagic.size(), kBatchHeadBytes - kMagic.size()), [&](auto& v) {
    v(major), v(minor), v(batch.build), v(batch.number), v(connections), v(total), v(crc);
  });
  if (major != kFormatMajor) return Error{Code::Invalid, 0, "a batch of another major version"};
  if (total != bytes.size() || connections > kBatchConnectionsMax) return Error{Code::Invalid, 0, "cut batch"};
  constexpr char kNoCrc[sizeof(uint32_t)] = {};
  uint32_t computed = crc32c(bytes.substr(0, kCrcAt));
  computed = crc32c({kNoCrc, sizeof kNoCrc}, computed);
  computed = crc32c(bytes.substr(kBatchHeadBytes), computed);
  if (computed != crc) return Error{Code::Invalid, 0, "damaged batch"};

  std::string_view rest = bytes.substr(kBatchHeadBytes);
  for (uint32_t i = 0; i < connections; ++i) {
    Received& received = batch.connections.emplace_back();
    uint16_t descriptors = 0;
    uint32_t length = 0;
    std::string_view behind;
    Image& image = received.image;
    const bool whole = take(rest, kConnectionHeadBytes, behind, [&](auto& v) {
      v(image.fields.uid), v(image.fields.so_cookie), v(image.descriptor), v(descriptors), v(length);
    });
    if (!whole || behind.size() < length) return Error{Code::Invalid, 0, "cut batch"};
    take_connection(behind.substr(0, length), received);
    if (descriptors != 1) received.refusal = "more than one descriptor";
    rest = behind.substr(length);
  }
  if (!rest.empty()) return Error{Code::Invalid, 0, "bytes behind the batch"};
  return batch;
}

}  // namespace beamgate::move
