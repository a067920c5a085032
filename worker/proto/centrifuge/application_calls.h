// Application calls: commands that the application decides about, one at a time and in order (HookMessages).
//
//   rpc        beamgate.message with beamgate-method: the body is the command's data, and so is the reply's body the
//              result's; the actions of the reply are done as ever
//   send       beamgate.message; a body of the reply is a message push
//   subscribe  beamgate.subscribe with beamgate-channel, where the channel's rules ask a webhook
//   publish    beamgate.publish, likewise
// Taken back A client that unsubscribes doesn't wait for the application.  Its subscribes that do are answered at once, with
//            an error; the unsubscribe stands behind them in the queue, so that whoever has it knows that they are void.
// Refusals   401 and 403 are "permission denied", 404 "method not found" or "unknown channel", 429 "too many requests",
//            other 4xx "bad request", anything else "internal server error", unless on_error lets subscribers and
//            publishers in.  {"error":{"code":400..1999,"message":"..."}} with a 4xx goes to the client as it is.
//
// Owner      Centrifuge.
// Thread     Worker loop thread only.
// State      The commands wait in the record's hook queue as the client has written them.
#pragma once

#include <unordered_set>

#include "worker/proto/action_runner.h"
#include "worker/proto/bus_wait.h"
#include "worker/proto/centrifuge/queries.h"
#include "worker/proto/centrifuge/sender.h"
#include "worker/proto/centrifuge/subscriptions.h"
#include "worker/proto/hook_messages.h"
#include "worker/proto/message_dialect.h"

namespace beamgate::proto::centrifuge {

class ApplicationCalls final : public MessageDialect {
 public:
  ApplicationCalls(Context& context, ConnectionOps& ops, ws::WebSockets& websockets, ActionRunner& runner,
                   Subjects& subjects, ChannelAccess& access, Subscriptions& subscriptions, Queries& queries);

  // endpoint: who is to be asked first.
  void queue(record::Record& record, const Endpoint& endpoint, const Command& command);
  // The client unsubscribes from a channel that the application may still be asked about.
  void withdraw(record::Record& record, const Command& unsubscribe);
  // The record's commands are this worker's to bring to the application from now on.
  void adopt(record::Record& record);
  HookMessages& messages() { return messages_; }

  bool handle(record::Record& record, const HookQueue::Message& message) override;
  hook::Webhooks::CallId call(const Endpoint& endpoint, const hook::Subject& subject, const HookQueue::Message& message,
                              hook::Webhooks::OnReply done) override;
  void act(record::Record& record, const HookQueue::Message& message, const hook::Reply& reply, OnDone done) override;
  std::optional<CloseWith> refuse(record::Record& record, const Endpoint& endpoint, const HookQueue::Message& message,
                                  const hook::Reply& reply) override;
  bool outlives_client(const record::Record& record, const HookQueue::Message& message) override;

 private:
  bool is_withdrawn(const record::Record& record, const Command& subscribe) const;
  void count_refused(Method method, ErrorCode code);
  Endpoint endpoint_for(uint64_t uid, const Endpoint& first, const Command& command) const;

  Context& context_;
  ConnectionOps& ops_;
  Sender sender_;
  ChannelAccess& access_;
  ActionRunner& runner_;
  Subscriptions& subscriptions_;
  Queries& queries_;
  HookMessages messages_;
  std::unordered_set<uint64_t> answered_;  // uids whose first command is answered, while the reply's actions are done.
};

}  // namespace beamgate::proto::centrifuge
