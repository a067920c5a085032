// Bus inbox: frames from the master, each handled as one step.
//
// A packet stays in the socket until its frames are dealt with, and Vault::bus_read says up to where they are: a
// successor of a killed worker finds the packet again and goes on with the frame that was not.
// A frame that is cut over packets collects in the arena (Root::BusPartial).
// Owner      BusClient.
// Thread     Worker loop thread only.
// Limits     kPacketsPerTurn packets a call.
// Errors     Closed: the other end is gone.  Invalid: bytes that are no frames.
// Descriptors come with the packet that is taken out to get them, so those few frames (Prepare, ReopenLogs, moves)
// are lost with a worker that is killed over them; the master asks again.
#pragma once

#include <functional>
#include <memory>

#include "common/base/result.h"
#include "common/ipc/life.h"
#include "common/ipc/packet.h"
#include "worker/record/arena.h"

namespace beamgate {

class BusInbox {
 public:
  // False: the frame is none for a worker.
  using Handler = std::function<bool(const ipc::Frame& frame)>;

  BusInbox(record::Arena& arena, ipc::Life::Now& now);

  Result<void> receive(int socket, const Handler& handler);

  // Takes over a cut frame that a dead worker had collected.  False: it is damaged.
  bool copy_from(const record::Arena& from);

  uint64_t bytes_received() const { return bytes_received_; }

 private:
  static constexpr int kPacketsPerTurn = 16;

  enum class Read : uint8_t { Nothing, Peeked, Taken };
  Result<Read> read_packet(int socket);
  void begin_anew(uint64_t position);
  Result<void> handle_packet(std::string_view packet, const Handler& handler);
  Result<size_t> handle_frame(std::string_view rest, const Handler& handler);
  Result<size_t> collect(std::string_view rest, const Handler& handler);
  Result<void> hand_out(std::string_view whole, const Handler& handler);

  record::Arena& arena_;
  ipc::Life::Now& now_;
  std::unique_ptr<char[]> packet_;
  size_t packet_bytes_ = 0;
  ipc::Descriptors descriptors_;  // For the next frame.
  uint64_t bytes_received_ = 0;
};

}  // namespace beamgate
