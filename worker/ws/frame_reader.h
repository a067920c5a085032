// Frame reader: has wslay judge the heads of a client's frames.
//
// wslay's frame-level API decides what a well-formed frame is.  It would copy and unmask every payload byte by
// byte, so it is shown each head without its masking key and then only counts the payload; payloads stay where
// they landed and are unmasked there (mask.h).
// Owner      WebSockets has one for all its connections: after every read() the context stands at a frame
//            boundary and remembers nothing of the connection.
// Thread     Worker loop thread only.
#pragma once

#include <cstdint>
#include <span>

struct wslay_frame_context;

namespace beamgate::ws {

struct ClientFrame {
  bool fin = false;
  uint8_t rsv = 0;              // RSV1 is 4, RSV2 is 2, RSV3 is 1.
  uint8_t opcode = 0;           // As received, maybe unknown.
  uint8_t head_bytes = 0;       // With the masking key.
  uint64_t payload_bytes = 0;   // Announced; how much of it is there is the caller's business.
  uint8_t mask[4] = {};
};

class FrameReader {
 public:
  enum class Outcome : uint8_t {
    Head,       // `frame` is filled.
    NeedMore,   // The head is not complete: at most 13 bytes.
    Unmasked,   // A client's frame must be masked (RFC 6455 section 5.1).
    Malformed,  // A length not in its shortest form or above 2^63, a fragmented or too long control frame.
  };

  FrameReader();
  FrameReader(const FrameReader&) = delete;
  FrameReader& operator=(const FrameReader&) = delete;
  ~FrameReader();

  // Reads the head that begins at bytes[0].
  Outcome read(std::span<const char> bytes, ClientFrame& frame);

  // What wslay's callback has left to hand out; public for the callback only.
  struct Feed {
    const uint8_t* head = nullptr;
    size_t head_bytes = 0;
    uint64_t payload_bytes = 0;
  };

 private:
  // Above it, starting the context afresh costs less than letting it count in steps of its 4 KiB buffer.
  static constexpr uint64_t kCountedBytesMax = 16 << 10;

  bool judge(ClientFrame& frame);
  void start_context();

  Feed feed_;
  wslay_frame_context* context_ = nullptr;
};

}  // namespace beamgate::ws
