// Pusher: WebSockets whose clients speak the Pusher protocol, version 7: pusher-js, Laravel Echo and others.
//
// Source     Pusher Channels protocol 7, and what the clients' own sources do.
// Owner      One per worker.
// Thread     Worker loop thread only.
// Handshake  The path ends in /app/KEY; see greeting.h.
// Limits     Those of its parts; and a frame that can't be understood is answered with an error once, then the
//            connection is closed.
#pragma once

#include "worker/http/exchange.h"
#include "worker/proto/channel_policy.h"
#include "worker/proto/connection_events.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/orders.h"
#include "worker/proto/pusher/app_events.h"
#include "worker/proto/pusher/client_events.h"
#include "worker/proto/pusher/clients.h"
#include "worker/proto/pusher/greeting.h"
#include "worker/proto/pusher/sign_in.h"
#include "worker/proto/pusher/subscribe_calls.h"
#include "worker/proto/pusher/subscribing.h"
#include "worker/proto/pusher/subscription_counts.h"
#include "worker/proto/pusher/watchlist.h"
#include "worker/ws/application.h"
#include "worker/ws/websockets.h"

namespace beamgate::pusher {

class Pusher final : public ws::Application, private proto::Orders {
 public:
  Pusher(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets, proto::ConnectionOps& ops,
         proto::ChannelPolicy& policy);

  Clients& clients() { return clients_; }

  // The node's changes that this worker was given to tell.
  void on_channel_change(const ipc::ChannelChange& change) { events_.on_channel_change(change); }
  void on_user_change(const ipc::UserChange& change);

  void on_handshake(http::Exchange& exchange) override { greeting_.begin(exchange); }
  void on_open(record::Record& record) override;
  void on_message(record::Record& record, ws::Opcode opcode, std::span<char> payload) override;
  void on_too_fast(record::Record& record, ws::Opcode opcode, std::span<char> payload) override;
  void on_joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state) override;
  ws::CloseText closes_with(ws::Cause cause) const override;
  bool may_move(const record::Record& record) override { return !ops_.waits(record) && subscribe_calls_.may_move(record); }
  void on_adopted(record::Record& record) override { subscribe_calls_.on_adopted(record); }
  void on_given(record::Record& record) override;
  void on_gone(record::Record& record, const ws::Ending& ending) override;

 private:
  // Orders
  Result<hub::Subscribed> subscribe(record::Record& record, std::string_view channel) override;
  bool unsubscribe(record::Record& record, std::string_view channel) override;
  std::string message(bool binary, std::string_view bytes) const override;
  ws::CloseText closes_with(uint16_t code, std::string_view reason) const override;

  const std::shared_ptr<const config::Webhook>& endpoint_of(const record::Record& record) const;
  void obey(record::Record& record, const config::App& app, const ClientFrame& frame);

  Context& context_;
  proto::ConnectionOps& ops_;
  proto::Subjects subjects_;
  proto::ConnectionEvents connection_events_;
  Clients clients_;
  Greeting greeting_;
  AppEvents events_;
  SubscriptionCounts counts_;
  Subscribing subscribing_;
  SubscribeCalls subscribe_calls_;
  ClientEvents client_events_;
  Watchlist watchlist_;
  SignIn sign_in_;
};

}  // namespace beamgate::pusher
