// Methods: the server API's methods by name, each a command with JSON parameters and one Reply.
//
// Owner      ApiHandler; one per worker.
// Thread     Worker loop thread only.
// Source     Centrifugo's server API.
// Errors     done() runs exactly once, at once or later.
//
//   publish         {channel, data | b64data, event?, tags?, skip_history?, idempotency_key?}  {offset, epoch}
//   broadcast       the same with channels                                                     {responses: [reply, ...]}
//   subscribe       {user, channel, client?}                        {}
//   unsubscribe     {user, channel, client?}                        {}
//   disconnect      {user | channel, client?, disconnect?: {code, reason}}  {}
//   refresh         {user, client?, expired?, expire_at?}           {}
//   presence        {channel}                                       {presence: {CLIENT: {client, user, conn_info?}}}
//   presence_stats  {channel}                                       {num_clients, num_users}
//   history         {channel, limit?, since?: {offset, epoch}, reverse?}    {publications, offset, epoch}
//   history_remove  {channel}                                       {}
//   channels        {pattern?}                                      {channels: {NAME: {num_clients}}}
//   users           {after?, limit?}                                {users: [{user, connections, since}], more, cursor}
//   user_changes    {since, limit?}                                 {changes: [...], more, cursor, known}
//   info            {}                                              {nodes: [...]}
// subscribe, unsubscribe, disconnect and refresh apply to every connection of the user, or to the one named by client;
// disconnect by channel to its subscribers.  As with Centrifugo, a user without connections is no error.  refresh is
// for Centrifuge clients; others have nothing that expires.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/json/value.h"
#include "worker/api/channel_calls.h"
#include "worker/api/connection_calls.h"
#include "worker/api/node_calls.h"
#include "worker/api/publishing.h"
#include "worker/api/reply.h"
#include "worker/api/user_calls.h"

namespace beamgate::api {

class Methods {
 public:
  // What a command doesn't carry itself.
  struct Caller {
    std::string_view idempotency_key;  // From the request's header.
    uint64_t payload_bytes_max = 0;
  };

  Methods(Publishing& publishing, ConnectionCalls& connections, NodeCalls& nodes, ChannelCalls& channels,
          UserCalls& users)
      : publishing_(publishing), connections_(connections), nodes_(nodes), channels_(channels), users_(users) {}

  static bool known(std::string_view method);

  void run(std::string_view method, const json::Value& params, const Caller& caller, Done done);

 private:
  void change_subscription(ConnectionOp op, const json::Value& params, Done done);
  void disconnect(const json::Value& params, Done done);
  void refresh(const json::Value& params, Done done);
  void run_call(const ConnectionCall& call, Done done);

  Publishing& publishing_;
  ConnectionCalls& connections_;
  NodeCalls& nodes_;
  ChannelCalls& channels_;
  UserCalls& users_;
};

}  // namespace beamgate::api
