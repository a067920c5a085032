// Channel: one end of the bus between a worker and the master.
//
// Owner      The worker has one, the master one per worker.
// Lifetime   The owner watches descriptor() and calls receive() when it is readable, flush() at the end of a
//            turn and when it is writable; it waits for writable only while wants_writable().
//            The handler given to receive() must not destroy the channel.
// Thread     Loop thread only.
// Limits     kFrameBytesMax per frame: send() says false.  The outgoing queue is bounded by the caller, who
//            looks at queued_bytes() before it sends.  receive() reads at most packets_max packets a call.
// Errors     Closed when the other end is gone, Invalid for bytes that are no frames; either ends the channel.
//            After flush() said Closed there may still be frames to receive.
// Cost       A frame is encoded into the outgoing batch and decoded from the packet it came in; no allocation
//            per frame.
//
//   channel.receive([&](const Frame& frame) {        channel.send(InterestAck{.channel = name});
//     Interest interest;                             channel.flush();
//     return frame.kind == Kind::Interest && decode(frame.body, interest) && on_interest(interest);
//   });
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/ipc/frame_reader.h"
#include "common/ipc/frame_writer.h"

namespace beamgate::ipc {

// Room for several packets in flight, as much as the system grants.
void grow_send_buffer(int socket);

// One packet into `packet` (kPacketBytesMax): its size, or nothing when there is none now.  descriptors may be null:
// those of the packet are not taken, which goes with MSG_PEEK.
Result<std::optional<size_t>> receive_packet(int socket, char* packet, int flags, Descriptors* descriptors);

class Channel {
 public:
  static constexpr int kPacketsPerTurn = 16;

  enum class Progress : uint8_t {
    Done,  // All written, or nothing left to read.
    More,  // Call again when the descriptor is ready (it may be already).
  };

  explicit Channel(UniqueFd socket);

  // Two connected, non-blocking ends.
  static Result<std::pair<UniqueFd, UniqueFd>> make_pair();

  int descriptor() const { return socket_.get(); }

  // Queue a frame; false when it is too large, and then nothing was queued.
  template <typename Message>
  bool send(const Message& message) {
    return writer_.append(message);
  }
  template <typename Message>
  bool send(const Message& message, Descriptors descriptors) {
    return writer_.append_with(message, std::move(descriptors));
  }
  bool send_body(Kind kind, std::string_view body) { return writer_.append_body(kind, body); }

  // Writes until everything is out or the socket is full.
  Result<Progress> flush();

  size_t queued_bytes() const { return writer_.bytes(); }
  bool wants_writable() const { return !writer_.empty(); }
  bool between_frames() const { return reader_.between_frames(); }  // Of what is received.
  // How far both streams have come, for whoever goes on with the socket.  REQUIRES: nothing is queued, and
  // between_frames().
  struct Positions {
    uint64_t sent = 0;
    uint64_t received = 0;
  };
  Positions positions() const { return {writer_.position(), reader_.position()}; }
  void go_on_from(const Positions& positions) {
    writer_.set_position(positions.sent);
    reader_.set_position(positions.received);
  }

  // Goes on with the socket of a dead process: packet.h, "Anew".  REQUIRES: nothing was sent or received.
  void begin_anew(uint64_t position) {
    writer_.begin_anew(position);
    reader_.begin_anywhere();
  }

  uint64_t bytes_sent() const { return bytes_sent_; }          // Since the beginning, headers included.
  uint64_t bytes_received() const { return bytes_received_; }

  // Calls handler(const Frame&) -> bool for each frame; false means that the frame is wrong and ends the
  // channel with Invalid.
  template <typename Handler>
  Result<Progress> receive(Handler&& handler, int packets_max = kPacketsPerTurn) {
    for (int packet = 0; packet < packets_max; ++packet) {
      const auto received = read_packet();
      if (!received.ok()) return received.error();
      if (!received.value()) return Progress::Done;
      Frame frame;
      for (;;) {
        const auto read = reader_.next(frame);
        if (!read.ok()) return read.error();
        if (!read.value()) break;
        if (!handler(static_cast<const Frame&>(frame))) return Error{Code::Invalid, 0, "bad bus message"};
      }
    }
    return Progress::More;
  }

 private:
  Result<bool> read_packet();  // False: nothing there now.

  UniqueFd socket_;
  FrameWriter writer_;
  FrameReader reader_;
  std::unique_ptr<char[]> packet_;  // kPacketBytesMax; what reader_ borrows.
  uint64_t bytes_sent_ = 0;
  uint64_t bytes_received_ = 0;
};

}  // namespace beamgate::ipc
