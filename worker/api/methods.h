// Methods: the server API's methods by name, each a command with JSON parameters and one Reply.
//
// Owner      ApiHandler; one per worker.
// Thread     Worker loop thread only.
// Source     Centrifugo's server API; what BeamGate doesn't have yet answers NotAvailable (108).
// Errors     done() runs exactly once, at once or later.
//
//   publish      {channel, data | b64data, idempotency_key?}        {offset, epoch}
//   broadcast    {channels, data | b64data, idempotency_key?}       {responses: [reply, ...]}
//   subscribe    {user, channel, client?}                           {}
//   unsubscribe  {user, channel, client?}                           {}
//   disconnect   {user, client?, disconnect?: {code, reason}}       {}
//   channels     {pattern?}                                         {channels: {NAME: {num_clients}}}
//   info         {}                                                 {nodes: [...]}
// subscribe, unsubscribe and disconnect apply to every connection of the user, or to the one named by client;
// as with Centrifugo, a user without connections is no error.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/json/value.h"
#include "worker/api/connection_calls.h"
#include "worker/api/node_calls.h"
#include "worker/api/publishing.h"
#include "worker/api/reply.h"

namespace beamgate::api {

class Methods {
 public:
  // What a command doesn't carry itself.
  struct Caller {
    std::string_view idempotency_key;  // From the request's header.
    uint64_t payload_bytes_max = 0;
  };

  Methods(Publishing& publishing, ConnectionCalls& connections, NodeCalls& nodes)
      : publishing_(publishing), connections_(connections), nodes_(nodes) {}

  static bool known(std::string_view method);

  void run(std::string_view method, const json::Value& params, const Caller& caller, Done done);

 private:
  void change_subscription(ConnectionOp op, const json::Value& params, Done done);
  void disconnect(const json::Value& params, Done done);
  void run_call(const ConnectionCall& call, Done done);

  Publishing& publishing_;
  ConnectionCalls& connections_;
  NodeCalls& nodes_;
};

}  // namespace beamgate::api
