// Record TLV: the versioned wire format of connections that move between workers, maybe of different builds.
//
// Format 1.3 (little endian; text and bytes are u32 length and bytes)
//
//   batch       "BGH1" | u16 major | u16 minor | u64 build | u32 batch | u32 connections | u32 total bytes |
//               u32 crc32c, of the whole with this field zero | connections
//   connection  u64 uid | u64 so_cookie | u16 index of its first descriptor | u16 descriptors | u32 length | items
//   item        u16 type | u32 length | bytes
//
//   Bit 15 of a type: critical.  An unknown item that isn't is skipped; one that is costs its connection the move,
//   and it stays where it is.  A type is never given another meaning; what is new gets a new type and a higher
//   minor; another major is refused whole.
//
//   8001 Basics         u8 phase, protocol, flags, pauses | u32 location, listen, outbound limit, hook sequence,
//                       keepalive count
//   8002 Peer           u8 family | u16 port | u64 address, first half | u64 second | i64 accepted, Unix ms
//   8003 Times          i64 deadline, last received; monotonic ms
//   8004 Carry          bytes read and not consumed
//   8005 Outbound       u32 bytes already out | bytes; once per frame, in order
//   8006 WebSocket      u64 payload remaining | u32 mask | u8 frame flags, message opcode, message flags, utf8 state,
//                       deflate flags, deflate window bits, close state, closed by peer | u16 close code
//   8007 Message        payload of the message in progress
//   8008 User, 8009 AppState, 800a Handshake   texts
//   800b Subscription   text channel, epoch | u64 offset; once per channel
//   800c HookMessage    u8 binary | u32 sequence | bytes; once per message, in order
//   800d SentHistory, 800e ReceivedHistory     compression windows, oldest byte first
//   000f Counters       u64 bytes received, sent | u32 messages received, sent
//   0010 Announcement   of the socket's peer, the announced client, the announced destination: u8 family | u16 port |
//                       u64 address, first half | u64 second
//   0011 CountedKey     u64 key of limit_conn; once per key
//   8012 SubscriptionNote      text, of the subscription before it
//   8014 Tls            u16 suite | u64 records opened, sealed | u8 close received, KeyUpdate owed, empty records,
//                       KeyUpdates, bytes of a fragment | u32 fragment | bytes peer's secret, own secret | u8 batch |
//                       u32 its plaintext, its ciphertext that is out | u8 close said | bytes ciphertext that is no whole
//                       record, what was negotiated
//   0013 SubscriptionPresence  u64 number of the newest change of members that the subscription before it was told
//
// Errors     Decoding never reads outside its input and checks every value that code relies on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/move/image.h"

namespace beamgate::move {

constexpr uint16_t kFormatMajor = 1;
constexpr uint16_t kFormatMinor = 3;
constexpr size_t kBatchConnectionsMax = 64;

class BatchWriter {
 public:
  BatchWriter(uint32_t batch, uint64_t build);

  void add(const Image& image);
  size_t bytes() const { return out_.size(); }
  uint32_t connections() const { return connections_; }
  std::string finish();  // Once, last.

 private:
  std::string out_;
  uint32_t connections_ = 0;
};

struct Received {
  Image image;
  const char* refusal = nullptr;  // Not null: the image is not to be used.
};

struct Batch {
  uint32_t number = 0;
  uint64_t build = 0;
  std::vector<Received> connections;
};

// Invalid: no batch of ours, or damaged.  The images borrow from `bytes`.
Result<Batch> read_batch(std::string_view bytes);

}  // namespace beamgate::move
