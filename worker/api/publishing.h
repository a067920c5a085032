// Publishing: the methods publish and broadcast.
//
// Data       "data" is any JSON value and reaches raw sockets as its compact text, a string with its quotes;
//            "b64data" is base64 and reaches them as a binary frame.  Exactly one of both is wanted.
// Reply      done() runs when the master has sequenced the publication; the result is {"offset","epoch"}.
// Receipt    "receipt": true, or "acknowledge_ms": the result has {"receipt":{"subscribers","sent","dropped",
//            "acknowledged","complete"}} as well, once every worker has told what became of it; with acknowledge_ms they
//            wait so long for clients to say that they have read it.  complete false: some worker couldn't tell.
// Limits     A payload of at most bytes_max (publication_max); kChannelsMax channels in one broadcast;
//            kAcknowledgeMsMax.
// Errors     BadRequest, LimitExceeded; TooManyRequests when the bus to the master is full.
// Except     "except": the id of a connection that doesn't get it.
// Event      "event", or the tag of that name, names the event for protocols that have such; of "tags" nothing else is
//            kept.  "skip_history": the channel's history doesn't keep it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/ipc/messages.h"
#include "common/json/value.h"
#include "worker/api/reply.h"
#include "worker/hub/hub.h"
#include "worker/hub/remote.h"

namespace beamgate::api {

struct Payload {
  ipc::PayloadKind kind = ipc::PayloadKind::Json;
  std::string bytes;
  std::string event;
  uint64_t except = 0;  // uid of a connection that doesn't get it.
  bool skips_history = false;
  bool wants_receipt = false;
  uint32_t acknowledge_ms = 0;  // Not 0: with wants_receipt.
};

constexpr uint64_t kAcknowledgeMsMax = 30'000;
// Leaves the connection of this id out; `problem` is set when it is none.
bool read_except(std::string_view id, Payload& payload, const char*& problem);
// Asks for a receipt with acknowledgements; `problem` is set when it is not from 1 to kAcknowledgeMsMax.
bool read_acknowledge_ms(std::optional<uint64_t> ms, Payload& payload, const char*& problem);

// The payload of a publish or broadcast command; `problem` is set when there is none.
bool read_payload(const json::Value& params, Payload& payload, const char*& problem);

class Publishing {
 public:
  static constexpr size_t kChannelsMax = 1000;
  static constexpr size_t kIdempotencyKeyBytesMax = ipc::kIdempotencyKeyBytesMax;

  Publishing(hub::Hub& hub, hub::Remote& remote) : hub_(hub), remote_(remote) {}

  // params: {channel, data | b64data, event?, tags?, except?, skip_history?, idempotency_key?, receipt?, acknowledge_ms?};
  // header_key counts when the command has none.
  void publish(const json::Value& params, std::string_view header_key, uint64_t bytes_max, Done done);
  // params: as publish, with channels; the result is {"responses":[...]}, one reply for
  // each channel, in order.
  void broadcast(const json::Value& params, std::string_view header_key, uint64_t bytes_max, Done done);

  void publish_payload(std::string_view channel, const Payload& payload, std::string_view idempotency_key,
                       uint64_t bytes_max, Done done);

 private:
  hub::Hub& hub_;
  hub::Remote& remote_;
};

}  // namespace beamgate::api
