// Presence events: what applications hear of users that come and go.
//
//   beamgate.user.online, beamgate.user.offline   the first connection of a user, the last one ("users" block)
//   beamgate.joined, beamgate.left                the same in one channel ("channels" block)
// Data       {"user","channel","joined","left","total_ms","info","cursor"}; times are RFC 3339, `left` and total_ms are
//            there when the user has left, channel and info where there are any.  The API's user_changes goes on behind
//            the cursor.
// Owner      One per worker.
// Thread     Worker loop thread only.
// Limits     The webhook's event_queue and retry_time.
#pragma once

#include <string>
#include <string_view>

#include "common/json/value.h"
#include "worker/context.h"
#include "worker/hub/hub.h"

namespace beamgate::proto {

// An event's type and its data.
std::string_view type_of(const ipc::UserChange& change);
json::Value describe(const ipc::UserChange& change);
// "INCARNATION-SEQUENCE".
std::string cursor_of(uint64_t incarnation, uint64_t sequence);

class PresenceEvents {
 public:
  explicit PresenceEvents(Context& context) : context_(context) {}

  // For Hub::set_on_user_change().
  void post(const ipc::UserChange& change);

 private:
  Context& context_;
};

}  // namespace beamgate::proto
