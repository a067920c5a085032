// FrameWriter: gathers outgoing frames and gives them back as packets.
//
// Owner      A Channel, by value.
// Lifetime   front() borrows until the next append() or pop().
// Limits     A frame larger than kFrameBytesMax is refused by append().  How much is queued is the caller's
//            business: see bytes().
// Cost       A message is encoded into its place in the batch; no allocation once the batch has its size.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/ipc/packet.h"
#include "common/ipc/wire.h"

namespace beamgate::ipc {

class FrameWriter {
 public:
  // False, and nothing queued, when the body is larger than kFrameBytesMax.
  template <typename Message>
  bool append(const Message& message) {
    const size_t start = begin_frame();
    Encoder encoder(stream_);
    Message::visit(encoder, message);
    return end_frame(start, Message::kKind);
  }

  // A body that was encoded before, for many receivers.
  bool append_body(Kind kind, std::string_view body);

  // The descriptors travel with this message.  REQUIRES: at most kFrameDescriptorsMax.
  template <typename Message>
  bool append_with(const Message& message, Descriptors descriptors) {
    const size_t packets_before = packets_.size();
    attach(std::move(descriptors));
    if (append(message)) return true;
    packets_.resize(packets_before);
    return false;
  }

  struct Packet {
    PacketHeader header;
    std::string_view payload;
    const Descriptors* descriptors;
  };
  bool empty() const { return first_ == packets_.size(); }
  Packet front() const;  // REQUIRES: !empty().
  void pop();            // Its descriptors are closed.

  uint64_t position() const { return base_ + sent_; }  // Of the first byte that is not popped.

  void set_position(uint64_t position) { base_ = position; }  // REQUIRES: nothing was appended yet.
  // The same for another sender than the receiver knows (packet.h).
  void begin_anew(uint64_t position) {
    base_ = position;
    anew_ = true;
  }

  size_t bytes() const { return stream_.size() - sent_; }  // Queued, without packet headers.

 private:
  struct Mark {
    size_t end = 0;        // Of the packet's payload, as an index of stream_.
    bool continues = false;
    bool sealed = false;   // Nothing may be added.
    Descriptors descriptors;
  };

  size_t begin_frame();
  bool end_frame(size_t start, Kind kind);
  void place(size_t start);
  void attach(Descriptors descriptors);
  size_t last_start() const;
  void compact();

  std::string stream_;         // Frames, back to back.
  uint64_t base_ = 0;          // Position of its first byte.
  size_t sent_ = 0;            // Bytes of stream_ that were popped.
  std::vector<Mark> packets_;  // Cuts stream_ into packets; those before first_ are gone.
  size_t first_ = 0;
  bool anew_ = false;          // Until the first packet is out.
};

}  // namespace beamgate::ipc
