// Subscriptions: a client's channels: subscribing with recovery, leaving, and what expires.
//
// Recovery   A channel with history gives a client that names epoch and offset everything behind them, or says that it
//            can't: never a part.  More than kRecoveredMax publications, or more than the client's queue takes, can't.
// By server  What the API, the application or a token has a connection subscribe to is told it in a subscribe push, or
//            in the connect reply.
// Answers    Each subscribe has one: what ends a subscription before it is confirmed answers it, with an error.
// Owner      Centrifuge.
// Thread     Worker loop thread only.
// State      hub::Subscription with a SubscriptionTag: a successor goes on with what this worker had begun.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "worker/hub/hub.h"
#include "worker/proto/centrifuge/alarms.h"
#include "worker/proto/centrifuge/channel_access.h"
#include "worker/proto/centrifuge/commands.h"
#include "worker/proto/centrifuge/sender.h"
#include "worker/proto/centrifuge/subscription_tag.h"
#include "worker/proto/connection_ops.h"

namespace beamgate::proto::centrifuge {

class Subscriptions {
 public:
  static constexpr uint32_t kRecoveredMax = 1'000;
  static constexpr int64_t kExpiryGraceMs = 25'000;  // For a client to bring a new token once it is told.

  Subscriptions(Context& context, ConnectionOps& ops, ws::WebSockets& websockets, ChannelAccess& access, Alarms& alarms)
      : context_(context), ops_(ops), sender_(websockets), access_(access), alarms_(alarms) {}

  // Nothing: the subscription has begun, or an error was sent.  Else the webhook that is to be asked first.
  std::shared_ptr<const config::Webhook> subscribe(record::Record& record, const Command& command);
  // The application has let it in.
  void subscribe_allowed(record::Record& record, const Command& command);
  void unsubscribe(record::Record& record, const Command& command);
  void refresh(record::Record& record, const Command& command);

  // A channel that the client hasn't asked for.  position: what it has of it (epoch, offset), or null.
  Result<void> join_by_server(record::Record& record, std::string_view channel, SubscriptionTag tag,
                              const json::Value* position);
  bool leave_by_server(record::Record& record, std::string_view channel, const Ending& why);

  void on_joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state);
  // Ends what has expired, and sets the alarm for what will.
  void check_expiry(record::Record& record);

  // The result of a subscribe command, as JSON.
  std::string result_of(const SubscriptionTag& tag, const ipc::ChannelState& state, bool recovered) const;

 private:
  void begin(record::Record& record, const Command& command, const Grant& grant);
  Result<void> join(record::Record& record, std::string_view channel, const SubscriptionTag& tag,
                    std::string_view chan_info);
  bool recovers(const SubscriptionTag& tag, const ipc::ChannelState& state) const;
  bool leave(record::Record& record, std::string_view channel);

  Context& context_;
  ConnectionOps& ops_;
  Sender sender_;
  ChannelAccess& access_;
  Alarms& alarms_;
};

}  // namespace beamgate::proto::centrifuge
