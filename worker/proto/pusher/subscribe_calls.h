// Subscribe calls: asks the application whether a client may subscribe to a public channel whose rules say "subscribe
// webhook": beamgate.subscribe, with what the client said as its body.
//
//   2xx      subscribed, and the actions of the reply are done
//   else     pusher:subscription_error with the reply's status, or as on_error says when there is no usable reply
// A client that unsubscribes meanwhile is told nothing more: that it did stands behind its subscribe in the queue, as the
// channel's name alone.  pusher-js waits for the answer before it unsubscribes.
//
// Owner      Pusher.
// Thread     Worker loop thread only.
// Limits     HookMessages: one call under way for each connection, connection_queue behind it.
#pragma once

#include <memory>
#include <string_view>

#include "worker/proto/action_runner.h"
#include "worker/proto/bus_wait.h"
#include "worker/proto/hook_messages.h"
#include "worker/proto/message_dialect.h"
#include "worker/proto/pusher/clients.h"
#include "worker/proto/pusher/subscribing.h"
#include "worker/proto/subjects.h"

namespace beamgate::pusher {

class SubscribeCalls final : private proto::MessageDialect {
 public:
  SubscribeCalls(Clients& clients, proto::ChannelPolicy& policy, proto::Subjects& subjects, Subscribing& subscribing);

  // data: of pusher:subscribe.
  void queue(record::Record& record, const std::shared_ptr<const config::Webhook>& endpoint, const json::Value& data);
  // data: of pusher:unsubscribe.
  void withdraw(record::Record& record, const json::Value& data);
  bool may_move(const record::Record& record) { return messages_.may_move(record); }
  void on_adopted(record::Record& record);
  void on_given(record::Record& record);
  void on_gone(record::Record& record);

 private:
  bool handle(record::Record& record, const proto::HookQueue::Message& message) override;
  Endpoint application_for(const record::Record& record, const proto::HookQueue::Message& message) const override;
  hook::Webhooks::CallId call(const Endpoint& endpoint, const hook::Subject& subject,
                              const proto::HookQueue::Message& message, hook::Webhooks::OnReply done) override;
  void act(record::Record& record, const proto::HookQueue::Message& message, const hook::Reply& reply,
           OnDone done) override;
  std::optional<CloseWith> refuse(record::Record& record, const Endpoint& endpoint,
                                  const proto::HookQueue::Message& message, const hook::Reply& reply) override;
  bool outlives_client(const record::Record&, const proto::HookQueue::Message&) override { return false; }
  bool is_withdrawn(const record::Record& record, std::string_view channel) const;
  void allow(record::Record& record, const json::Value& data);

  Clients& clients_;
  proto::ChannelPolicy& policy_;
  Subscribing& subscribing_;
  proto::HookQueue queue_;
  proto::BusWait bus_wait_;
  proto::ActionRunner runner_;
  proto::HookMessages messages_;
};

}  // namespace beamgate::pusher
