// Message reader: turns a client's bytes into messages and control frames, one step at a time.
//
// Owner      WebSockets has one for all its connections; what is between two steps is in the record
//            (WebSocketState, Record::message), so nothing is held for an idle connection.
// Thread     Worker loop thread only.
// Decides    only: the caller acts on the step, then asks for the next.
// Copies     A message in one frame that is wholly there is unmasked into one buffer for all and handed on there;
//            what landed stays as it came.  Otherwise its parts collect in an arena block that grows by doubling.
// Limits     MessageLimits; a frame that announces too much is refused by its head, before any memory.
// Errors     Kind::Failure with the code that RFC 6455 names.
#pragma once

#include <cstdint>
#include <span>

#include "worker/record/arena.h"
#include "worker/record/record.h"
#include "worker/ws/application.h"
#include "worker/ws/frame_reader.h"
#include "worker/ws/scratch.h"

namespace beamgate::ws {

enum FrameFlag : uint8_t {
  kFrameInProgress = 1 << 0,  // payload_remaining bytes of a data frame are still to come.
  kFrameFin = 1 << 1,
};

enum MessageFlag : uint8_t {
  kMessageCompressed = 1 << 0,  // RSV1 of its first frame (RFC 7692 section 6).
};

struct MessageLimits {
  uint64_t message_bytes_max = 0;
  bool compression = false;  // permessage-deflate is negotiated: RSV1 is allowed.
};

struct Step {
  enum class Kind : uint8_t {
    NeedMore,  // Nothing can be done without more bytes; what is left over is at most one control frame.
    Progress,  // A part was taken in.
    Message,   // opcode, compressed, payload.
    Ping,      // payload
    Pong,      // payload
    Close,     // payload
    Failure,   // code, reason: the connection is to be failed (RFC 6455 section 7.1.7).
  };

  Kind kind = Kind::NeedMore;
  Opcode opcode = Opcode::Text;
  bool compressed = false;   // The payload is to be inflated, and checked only then.
  uint16_t code = 0;
  const char* reason = "";
  size_t consumed = 0;       // Bytes of the input that are done with.
  std::span<char> payload;   // Unmasked; in the reader's buffer or in the arena.
};

class MessageReader {
 public:
  explicit MessageReader(record::Arena& arena) : arena_(arena) {}
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;
  ~MessageReader() { done(); }

  // One step.  Its payload is good until done().
  // Once the record has sent Close, data frames are skipped: only the peer's Close matters.
  Step read(record::Record& record, std::span<const char> bytes, const MessageLimits& limits);

  // The payload of the last step is not needed any more.
  void done();

  // Drops a message in progress.
  void forget(record::Record& record);

 private:
  Step begin_frame(record::Record& record, std::span<const char> bytes, const ClientFrame& frame,
                   const MessageLimits& limits);
  Step control_frame(std::span<const char> bytes, const ClientFrame& frame);
  Step whole_message(std::span<const char> bytes, const ClientFrame& frame);
  Step take_part(record::Record& record, std::span<const char> part);
  Step end_frame(record::Record& record);
  bool append(record::Record& record, std::span<const char> part);
  std::span<char> unmask_apart(std::span<const char> payload, const uint8_t (&key)[4]);

  record::Arena& arena_;
  FrameReader frames_;
  Scratch unmasked_;
  record::Ref finished_ = record::kNull;  // The block of the last message handed on.
};

}  // namespace beamgate::ws
