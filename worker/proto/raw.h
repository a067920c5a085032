// Raw: WebSockets without a protocol of their own; each message is one frame.
//
// With a webhook, each message goes to the application and its reply comes back (HookMessages), and the
// application hears of the connection's beginning and end (beamgate.connected, beamgate.disconnected).
// Without one, each message is published to the channel that websocket_publish names, its sender being a
// subscriber like any other; what the channel's rules don't let it publish is forgotten.  With neither, messages are
// read and forgotten: such a location only listens.
//
// Owner      One per worker.
// Thread     Worker loop thread only.
// Limits     See HookMessages.  A publication that finds the bus full waits in the record, and the connection is
//            not read (kPauseBus) until it is sent.
#pragma once

#include "worker/context.h"
#include "worker/hook/grip_session.h"
#include "worker/http/exchange.h"
#include "worker/proto/action_runner.h"
#include "worker/proto/bus_wait.h"
#include "worker/proto/channel_policy.h"
#include "worker/proto/connection_events.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/grip_pulse.h"
#include "worker/proto/hook_messages.h"
#include "worker/proto/hook_queue.h"
#include "worker/proto/raw_handshake.h"
#include "worker/proto/subjects.h"
#include "worker/ws/application.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto {

class Raw final : public ws::Application, private MessageDialect {
 public:
  Raw(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets, ConnectionOps& ops, ChannelPolicy& policy);

  void on_handshake(http::Exchange& exchange) override { handshake_.begin(exchange); }
  void on_open(record::Record& record) override;
  void on_message(record::Record& record, ws::Opcode opcode, std::span<char> payload) override;
  void on_joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state) override;
  bool may_move(const record::Record& record) override;
  void on_adopted(record::Record& record) override;
  void on_given(record::Record& record) override;
  void on_gone(record::Record& record, const ws::Ending& ending) override;

  // Whether a subscriber gets a publication that has a meta: what the filters say of one whose backend speaks GRIP.
  bool wants(const record::Record& record, const hub::Publication& publication);

 private:
  // MessageDialect
  bool outlives_client(const record::Record& record, const HookQueue::Message& message) override {
    return static_cast<void>(record), message.sequence != 0;
  }
  bool handle(record::Record& record, const HookQueue::Message& message) override;
  hook::Webhooks::CallId call(const Endpoint& endpoint, const hook::Subject& subject, const HookQueue::Message& message,
                              hook::Webhooks::OnReply done) override;
  hook::Webhooks::CallId call_again(const Endpoint& endpoint, const hook::Subject& subject,
                                    std::span<const HookQueue::Message> messages, uint64_t again,
                                    hook::Webhooks::OnReply done) override;
  void act(record::Record& record, const HookQueue::Message& message, const hook::Reply& reply, OnDone done) override;
  std::optional<CloseWith> refuse(record::Record& record, const Endpoint& endpoint, const HookQueue::Message& message,
                                  const hook::Reply& reply) override;

  const std::shared_ptr<const config::Webhook>& endpoint_of(const record::Record& record) const;
  void send_newest(record::Record& record);
  void send_past(record::ConnId id, const ipc::ChannelState& state);
  void publish(record::Record& record, bool binary, std::string_view bytes);
  bool publish_now(const record::Record& record, bool binary, std::string_view bytes);
  void publish_waiting(record::ConnId id);
  void schedule_grip(const record::Record& record);
  void pulse_grip(record::ConnId id);
  void send_timed(record::ConnId id);
  void tell_grip(const record::Record& record, const Endpoint& endpoint, const ws::Ending& ending);

  Context& context_;
  ConnectionOps& ops_;
  ChannelPolicy& policy_;
  HookQueue queue_;
  Subjects subjects_;
  ConnectionEvents events_;
  BusWait bus_wait_;
  ActionRunner runner_;
  RawHandshake handshake_;
  HookMessages messages_;
  GripPulse pulse_;  // Calls without events,
  GripPulse timed_;  // and messages that the gateway sends by itself.
  hook::GripMeta meta_;  // Of the publication that was asked about last.
};

}  // namespace beamgate::proto
