// Pusher encoder: what clients of the Pusher protocol are told of a channel.
#pragma once

#include "worker/proto/encoder.h"
#include "worker/proto/pusher/clients.h"
#include "worker/proto/pusher/frames.h"

namespace beamgate::pusher {

class PusherEncoder final : public proto::Encoder {
 public:
  explicit PusherEncoder(Clients& clients) : clients_(clients) {}

  void encode(const hub::Publication& publication, std::vector<proto::Encoded>& out) override;
  // Members of presence channels; only whole users come and go, and never before their own eyes.  Of members that are
  // only counted the numbers; where they are listed again, the list, as the answer to a new subscription.
  void encode(const ipc::PresenceChange& change, std::vector<proto::Encoded>& out) override;
  // It comes back in a second, subscribes anew, and its application loads what it shows.
  void on_gap(record::Record& record, std::string_view channel, uint64_t offset) override;

 private:
  Clients& clients_;
};

}  // namespace beamgate::pusher
