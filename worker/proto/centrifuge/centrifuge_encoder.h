// Centrifuge encoder: publications, joins and leaves as pushes.
//
// A publication for a user is a message push: it belongs to no channel that the client knows.  Members that have come
// or gone together are one frame of several pushes.  A client that has missed something is unsubscribed for want of
// state, so that it subscribes again and recovers.
//
// Owner      One per worker.
// Thread     Worker loop thread only.
#pragma once

#include "worker/proto/centrifuge/sender.h"
#include "worker/proto/encoder.h"

namespace beamgate::proto::centrifuge {

class CentrifugeEncoder final : public Encoder {
 public:
  CentrifugeEncoder(hub::Hub& hub, ws::WebSockets& websockets) : hub_(hub), sender_(websockets) {}

  void encode(const hub::Publication& publication, std::vector<Encoded>& out) override;
  void encode(const ipc::PresenceChange& change, std::vector<Encoded>& out) override;
  void on_gap(record::Record& record, std::string_view channel, uint64_t offset) override;

 private:
  hub::Hub& hub_;
  Sender sender_;
};

}  // namespace beamgate::proto::centrifuge
