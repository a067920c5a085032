// Phoenix: channels as Phoenix's own clients have them (serializer V2), over WebSockets and long polls.
//
// A topic is a channel of the hub.  With a webhook the application decides: beamgate.connect before the
// client is connected, beamgate.subscribe for a join (its reply is the phx_reply), beamgate.message for a
// push, with beamgate-channel and beamgate-event, whose reply is the push's.  Without one, joins are allowed
// by the rules of the channel, and a push goes to the other members of the topic, once the webhook of these rules,
// where they have one, has allowed it: beamgate.publish.
//
// Owner      One per worker.
// Thread     Worker loop thread only.
// Limits     Topics::kTopicsMax; HookMessages for calls.  A publication that finds the bus full waits in the
// record, and
//            the connection is not read (kPauseBus) until it is sent.
// Errors     A frame that is none closes with 1002.  Heartbeats don't wait behind calls: the client would
// give up.
#pragma once

#include "worker/context.h"
#include "worker/http/exchange.h"
#include "worker/proto/action_runner.h"
#include "worker/proto/admission.h"
#include "worker/proto/bus_wait.h"
#include "worker/proto/channel_policy.h"
#include "worker/proto/connection_events.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/hook_messages.h"
#include "worker/proto/hook_queue.h"
#include "worker/proto/message_dialect.h"
#include "worker/proto/orders.h"
#include "worker/proto/phoenix/longpolls.h"
#include "worker/proto/phoenix/topics.h"
#include "worker/proto/subjects.h"
#include "worker/ws/application.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto::phoenix {

class Phoenix final : public ws::Application, private Door, private MessageDialect, private Orders {
 public:
  Phoenix(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets, ConnectionOps& ops,
          ChannelPolicy& policy);

  // ws::Application
  bool on_request(http::Exchange& exchange) override;
  void on_handshake(http::Exchange& exchange) override;
  void on_open(record::Record& record) override;
  void on_message(record::Record& record, ws::Opcode opcode, std::span<char> payload) override;
  void on_too_fast(record::Record& record, ws::Opcode opcode, std::span<char> payload) override;
  void on_joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state) override;
  ws::CloseText closes_with(ws::Cause cause) const override;
  bool may_move(const record::Record& record) override;
  void on_adopted(record::Record& record) override;
  void on_given(record::Record& record) override;
  void on_gone(record::Record& record, const ws::Ending& ending) override;

  Topics& topics() { return topics_; }

 private:
  // Door
  void let_in(http::Exchange& exchange, record::Record& record, SharedActions actions,
              std::vector<http::ResponseField> fields) override;

  // Orders: a client joins by itself, so that nobody can do it for it; what is sent to it comes from the
  // topic "phoenix", for Socket.onMessage().
  Result<hub::Subscribed> subscribe(record::Record& record, std::string_view channel) override;
  bool unsubscribe(record::Record& record, std::string_view channel) override;
  std::string message(bool binary, std::string_view bytes) const override;
  using Orders::closes_with;

  // MessageDialect
  bool handle(record::Record& record, const HookQueue::Message& message) override;
  hook::Webhooks::CallId call(const Endpoint& endpoint, const hook::Subject& subject,
                              const HookQueue::Message& message, hook::Webhooks::OnReply done) override;
  void act(record::Record& record, const HookQueue::Message& message, const hook::Reply& reply,
           OnDone done) override;
  std::optional<CloseWith> refuse(record::Record& record, const Endpoint& endpoint,
                                  const HookQueue::Message& message, const hook::Reply& reply) override;
  bool outlives_client(const record::Record& record, const HookQueue::Message& message) override;

  void accept(http::ExchangeId id, const SharedActions& actions,
              const std::vector<http::ResponseField>& fields);
  const Endpoint& endpoint_of(const record::Record& record) const;
  Endpoint application_for(const record::Record& record, const HookQueue::Message& message) const override;
  bool handle_join(record::Record& record, const Message& message);
  bool handle_push(record::Record& record, const Message& message);
  void answer(record::Record& record, const Message& message, const hook::Actions& actions);
  void count_refused(const record::Record& record, const Message& message, bool unreachable);
  void publish_allowed(record::Record& record, const Message& message, std::string_view response,
                       const std::vector<Push>& pushes = {});
  void wait_for_bus(record::Record& record);
  void go_on(record::ConnId id);

  Context& context_;
  http::Exchanges& exchanges_;
  ws::WebSockets& websockets_;
  ConnectionOps& ops_;
  HookQueue queue_;
  Subjects subjects_;
  ConnectionEvents events_;
  BusWait bus_wait_;
  ActionRunner runner_;
  Admission admission_;
  HookMessages messages_;
  Topics topics_;
  LongPolls polls_;
};

}  // namespace beamgate::proto::phoenix
