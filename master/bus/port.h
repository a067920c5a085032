// Port: the master's end of one worker's bus, with the policy for a worker that doesn't keep up.
//
// Owner      Bus, one per attached worker.
// Limits     Publications are queued up to queue_bytes.  When that is full they are dropped for this worker;
//            per channel the last one missed is remembered and told with a Gap once there is room again, before
//            the channel's next Deliver.  Everything else is queued up to control_bytes above that; a worker
//            that lets even this overflow is stuck(), and the Bus ends it.
// Errors     After the other end has gone, what is sent is dropped; reading tells about it.
// Thread     The master's only thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "common/base/keyed_hash.h"
#include "common/ipc/channel.h"

namespace beamgate::master {

class Port {
 public:
  static constexpr size_t kControlBytesMax = 64 << 20;

  Port(uint16_t slot, uint16_t worker, UniqueFd socket) : slot_(slot), worker_(worker), channel_(std::move(socket)) {}

  uint16_t slot() const { return slot_; }
  uint16_t worker() const { return worker_; }
  ipc::Channel& channel() { return channel_; }
  const ipc::Channel& channel() const { return channel_; }

  // One publication; `body` is the encoded Deliver.  False: there is no room, and the worker will be told of a Gap.
  bool deliver(std::string_view channel, ipc::Place place, std::string_view body, size_t queue_bytes);

  template <typename Message>
  void send(const Message& message, ipc::Descriptors descriptors = {}) {
    if (broken_) return;
    const bool queued =
        descriptors.empty() ? channel_.send(message) : channel_.send(message, std::move(descriptors));
    BG_ASSERT(queued);  // What the master sends is within the limits it has checked.
  }

  // The worker isn't told something of this channel; it learns that it misses what came up to here.
  void miss(std::string_view channel, ipc::Place place);

  // Has room for an answer with a body of a worker's choosing.
  bool has_room(size_t queue_bytes) const { return channel_.queued_bytes() < queue_bytes; }
  bool stuck(size_t queue_bytes) const { return channel_.queued_bytes() > queue_bytes + kControlBytesMax; }

  // Before something of this channel is sent that isn't a publication: its gap, if there is one, comes first.
  void tell_gap_of(std::string_view channel);

  // Writes what fits and tells of gaps when room has come.
  void flush(size_t queue_bytes);
  bool wants_writable() const { return !broken_ && channel_.wants_writable(); }

  // The worker is not interested any more.
  void forget_missed(std::string_view channel);

  uint64_t dropped() const { return dropped_; }
  bool missing() const { return !missed_.empty(); }

  bool said_hello = false;
  bool serving = false;    // Has said Ready.
  bool leaving = false;    // Was told to stop.
  bool said_farewell = false;
  bool dismissed = false;  // Its farewell is answered: it tells nobody anything any more.
  bool recounts = false;   // Was sent a Recount that it has not answered.
  bool dirty = false;      // In the Bus's list of ports to flush.

 private:
  void write();
  void send_gap(std::string_view channel, ipc::Place place);
  void tell_gaps(size_t queue_bytes);

  const uint16_t slot_;
  const uint16_t worker_;
  ipc::Channel channel_;
  bool broken_ = false;
  uint64_t dropped_ = 0;
  std::unordered_map<std::string, ipc::Place, KeyedHash, std::equal_to<>> missed_;  // By channel: what came last.
};

}  // namespace beamgate::master
