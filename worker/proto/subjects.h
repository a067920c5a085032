// Subjects: what applications are told about a connection, gathered from its record.
//
// Owner      One per worker.
// Thread     Worker loop thread only.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "worker/context.h"
#include "worker/hook/webhooks.h"
#include "worker/record/record.h"

namespace beamgate::proto {

class Subjects {
 public:
  explicit Subjects(Context& context) : context_(context) {}

  // Views borrow from the record and from this.
  hook::Subject of(const record::Record& record);
  // The channel that websocket_publish named at the handshake.
  std::string_view publish_channel_of(const record::Record& record) const;

 private:
  const std::string& listener_of(uint32_t listen_id);

  Context& context_;
  std::unordered_map<uint32_t, std::string> listeners_;  // Address texts by Listen::id; as many as listens.
};

// Stable names: the same event or message has the same one whenever it is sent.
std::string message_id(uint64_t uid, uint32_t sequence);
std::string connect_id(uint64_t uid, uint32_t requests_before);
std::string subscribe_id(uint64_t uid, uint32_t exchange, size_t index);  // Of a channel that a request names.

}  // namespace beamgate::proto
