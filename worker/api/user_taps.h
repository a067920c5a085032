// User taps: "POST taps/USER?connection=ID", and what follows: whatever the user's connections receive and send is sent
// to that connection, too, wherever it is.
//
// Format     A binary message for each: Unix time in milliseconds, connection id, way (ws::Tap::Way), "t" or "b" for text
//            or binary, how many bytes it has, and up to kShownBytesMax of them: "1767225600000 0001000002a3b4c5 <t 5 hello".
// Owner      ApiHandler; one per worker.
// Thread     Worker loop thread only.
// Limits     ipc::Taps.  What finds no room on the bus is not shown; the next message to the same connection says how
//            many those were.
// Seen       WebSockets' messages, compressed or not; what is published to event streams and long-polls.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>

#include "common/base/keyed_hash.h"
#include "worker/api/connection_calls.h"
#include "worker/api/reply.h"
#include "worker/context.h"
#include "worker/ws/tap.h"

namespace beamgate::api {

class UserTaps final : public ws::Tap {
 public:
  static constexpr size_t kShownBytesMax = 64 << 10;

  UserTaps(Context& context, ConnectionCalls& calls);

  // For ipc::Taps::kLeaseMs; the log has its beginning.  False: there are too many.
  bool renew(std::string_view user, uint64_t connection);

  void show(const record::Record& record, Way way, bool binary, std::string_view payload) override;

 private:
  // messages: how many are not shown when it finds no room.
  void send(uint64_t to, std::string_view line, uint32_t messages);
  void missed(uint64_t by, uint32_t messages);

  Context& context_;
  ConnectionCalls& calls_;
  const KeyedHash hash_;
  std::unordered_map<uint64_t, uint32_t> not_shown_;  // Messages, by the connection that looks.
};

}  // namespace beamgate::api
