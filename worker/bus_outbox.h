// Bus outbox: frames on their way to the master, in the arena until they have left.
//
// What a step sends to the bus is part of the step: it is appended here, leaves after the commit, and what a killed
// worker had not sent, or didn't know that it had, its successor sends.  Positions let the master drop repeats.
// Layout     A list of packets as they go out (common/ipc/packet.h) from Root::OutboxHead to OutboxTail.
// Owner      BusClient.
// Thread     Worker loop thread only.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/ipc/wire.h"
#include "worker/record/arena.h"

namespace beamgate {

class BusOutbox {
 public:
  explicit BusOutbox(record::Arena& arena) : arena_(arena) {}

  // False: the arena is full, or the body is too large; nothing was queued.
  template <typename Message>
  [[nodiscard]] bool append(const Message& message) {
    body_.clear();
    ipc::Encoder encoder(body_);
    Message::visit(encoder, message);
    return append_body(static_cast<uint16_t>(Message::kKind), body_);
  }

  bool empty() const { return bytes_ == 0; }
  size_t bytes() const { return bytes_; }  // Queued.

  // Writes what is queued; false: the socket is full.  Closed: the other end is gone.  Outside of any step.
  Result<bool> flush(int socket);

  // Takes over what a dead worker had queued, its positions included.  False: it is damaged.
  bool copy_from(const record::Arena& from);

 private:
  struct Packet {
    record::Ref next = record::kNull;
    uint32_t bytes = 0;      // Of the payload, which follows.
    uint64_t position = 0;
    uint32_t continues = 0;  // Begins in the middle of a frame.
    uint32_t unused = 0;
  };

  bool append_body(uint16_t kind, std::string_view body);
  Packet* tail() const;
  size_t room(record::Ref packet) const;
  bool add_packet(size_t payload, bool continues);
  void put(std::string_view bytes);
  void pop();

  record::Arena& arena_;
  std::string body_;  // Of the message being encoded.
  size_t bytes_ = 0;
};

}  // namespace beamgate
