// Listener: accepts clients of one listening socket into Connections.
//
// Owner      Worker, one per inherited socket.  The socket is this worker's own SO_REUSEPORT socket; the
//            master holds it too, so closing it here resets nobody.
// Limits     Without room for a connection, or with few free descriptors (descriptor_room.h), accepting pauses and the
//            kernel queues; the worker starts it again when there is room.  Listens of the node's owner
//            have room of their own (kReservedConnections).
#pragma once

#include <cstdint>

#include "common/base/unique_fd.h"
#include "worker/net/connections.h"
#include "worker/net/poller.h"

namespace beamgate::net {

class Listener final : public PollTarget {
 public:
  Listener(uint32_t id, UniqueFd socket, Poller& poller, Connections& connections, metrics::Page& metrics);
  ~Listener() override;

  uint32_t id() const { return id_; }
  int fd() const { return socket_.get(); }
  void start();  // Idempotent, as is pause(); without room for descriptors nothing comes of it.
  void pause();

  void on_ready(uint64_t token, uint32_t events) override;

  // A client that a dead worker had accepted here.
  static void take(Connections& connections, UniqueFd client, uint32_t listen_id);

 private:
  static constexpr int kAcceptsPerTurn = 64;

  bool has_descriptors() const;
  void pause_for_descriptors();

  const uint32_t id_;
  UniqueFd socket_;
  Poller& poller_;
  Connections& connections_;
  metrics::Page& metrics_;
  bool started_ = false;
  bool short_of_descriptors_ = false;
};

}  // namespace beamgate::net
