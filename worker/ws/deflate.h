// Deflate: compresses and inflates messages (RFC 7692 section 7.2) for all connections of a worker.
//
// Owner      WebSockets has one.
// State      With context takeover the window of a direction is plaintext in the arena (history.h), so that it
//            can outlive this process; a z_stream is a cache over it, rebuilt from the window when it is not
//            in the pool.  Without takeover one stream per direction serves every connection.
// Thread     Worker loop thread only.
// Limits     kCachedStreams per direction; inflate() stops at the message limit, so a bomb costs no more than
//            that.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "worker/record/record.h"
#include "worker/ws/deflate_offer.h"
#include "worker/ws/zlib_streams.h"

namespace beamgate::ws {

enum DeflateFlag : uint8_t {
  kDeflateNegotiated = 1 << 0,
  kDeflateServerNoTakeover = 1 << 1,
  kDeflateClientNoTakeover = 1 << 2,
};

void store_parameters(const DeflateParameters& parameters, record::WebSocketState& ws);
DeflateParameters load_parameters(const record::WebSocketState& ws);

class Deflate {
 public:
  static constexpr size_t kCachedStreams = 64;
  // The window of frames that connections share; those that negotiated a smaller one can't take them.
  static constexpr uint8_t kSharedWindowBits = 12;

  explicit Deflate(record::Arena& arena);
  Deflate(const Deflate&) = delete;
  Deflate& operator=(const Deflate&) = delete;
  ~Deflate();

  // The compressed payload, good until the next call; empty: send it uncompressed.  With takeover the peer's
  // window has moved once this has succeeded: the message must be sent, or the connection closed.
  std::string_view compress(record::Record& record, record::ConnId id, std::string_view message, int level);

  // For connections without takeover; empty: not worth it.
  std::string_view compress_shared(std::string_view message, int level);
  static bool takes_shared(const record::Record& record);

  using Outcome = Decompressor::Outcome;
  struct Inflated {
    Outcome outcome = Outcome::Done;
    std::span<char> message;  // Good until the next call.
  };
  // Anything but Done: the connection must be failed.
  Inflated inflate(record::Record& record, record::ConnId id, std::span<const char> payload, uint64_t bytes_max);

  // Lets go of what belongs to the connection, its windows included.
  void forget(record::Record& record, record::ConnId id);

 private:
  struct Parts;

  std::string_view compress_alone(std::string_view message, uint8_t window_bits, int level);

  std::unique_ptr<Parts> parts_;
};

}  // namespace beamgate::ws
