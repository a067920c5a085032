// Encoder: how the clients of one protocol are told what happens in a channel.  Delivery asks it once for each
// publication and sends what it says to every subscriber of that protocol.
//
// Owner      One per protocol and worker.
// Thread     Worker loop thread only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/ipc/messages.h"
#include "worker/hub/hub.h"
#include "worker/record/record.h"

namespace beamgate::proto {

// One message to many: a WebSocket message's payload, or the bytes themselves where the connection is none.
struct Encoded {
  bool binary = false;
  std::string bytes;
  uint64_t except = 0;          // uid of a connection that doesn't get it; 0: none.
};

// Of a change that names everybody.
inline std::vector<ipc::Member> members_of(const ipc::PresenceChange& whole) {
  std::vector<ipc::Member> out;
  for (const ipc::MemberChange& change : whole.changes) out.push_back(change.member);
  return out;
}

class Encoder {
 public:
  virtual ~Encoder() = default;

  // Appends what the publication is to a subscriber; nothing for one that it means nothing to.
  virtual void encode(const hub::Publication& publication, std::vector<Encoded>& out) = 0;
  // The same for members that have come and gone.
  virtual void encode(const ipc::PresenceChange& change, std::vector<Encoded>& out) {
    static_cast<void>(change), static_cast<void>(out);
  }
  // Whether this subscriber gets a publication whose origin has a meta.
  virtual bool wants(const record::Record& record, const hub::Publication& publication) const {
    return static_cast<void>(record), static_cast<void>(publication), true;
  }
  // A subscriber has missed publications up to `offset`, and there is no way to get them: it has to find out.
  virtual void on_gap(record::Record& record, std::string_view channel, uint64_t offset) = 0;
  // hub::Deliverer::joined(), for a connection that is no WebSocket.
  virtual void on_joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state) {
    static_cast<void>(record), static_cast<void>(tag), static_cast<void>(state);
  }
  // Sends one message that isn't a WebSocket's; false: it was refused, and the slow-reader policy has been applied.
  // REQUIRES: the connection is in no WebSocket phase.
  virtual bool send(record::Record& record, record::Ref frame) {
    static_cast<void>(record), static_cast<void>(frame);
    return false;
  }
};

}  // namespace beamgate::proto
