// Publishing: the methods publish and broadcast.
//
// Data       "data" is any JSON value and reaches raw sockets as its compact text, a string with its quotes;
//            "b64data" is base64 and reaches them as a binary frame.  Exactly one of both is wanted.
// Receipt    done() runs when the master has sequenced the publication; the result is {"offset","epoch"}.
// Limits     A payload of at most bytes_max (publication_max); kChannelsMax channels in one broadcast.
// Errors     BadRequest, LimitExceeded; TooManyRequests when the bus to the master is full.
// Ignored    "tags" and "skip_history": raw sockets have no place for tags and channels keep no history.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/ipc/messages.h"
#include "common/json/value.h"
#include "worker/api/reply.h"
#include "worker/hub/hub.h"

namespace beamgate::api {

struct Payload {
  ipc::PayloadKind kind = ipc::PayloadKind::Json;
  std::string bytes;
};

// The payload of a publish or broadcast command; `problem` is set when there is none.
bool read_payload(const json::Value& params, Payload& payload, const char*& problem);

class Publishing {
 public:
  static constexpr size_t kChannelsMax = 1000;
  static constexpr size_t kIdempotencyKeyBytesMax = ipc::kIdempotencyKeyBytesMax;

  explicit Publishing(hub::Hub& hub) : hub_(hub) {}

  // params: {channel, data | b64data, idempotency_key?}; header_key counts when the command has none.
  void publish(const json::Value& params, std::string_view header_key, uint64_t bytes_max, Done done);
  // params: {channels, data | b64data, idempotency_key?}; the result is {"responses":[...]}, one reply for
  // each channel, in order.
  void broadcast(const json::Value& params, std::string_view header_key, uint64_t bytes_max, Done done);

  void publish_payload(std::string_view channel, const Payload& payload, std::string_view idempotency_key,
                       uint64_t bytes_max, Done done);

 private:
  hub::Hub& hub_;
};

}  // namespace beamgate::api
