// Subscribing: how a client of the Pusher protocol enters channels and leaves them.
//
//   not in it -- pusher:subscribe, refused ---> not in it (pusher:subscription_error)
//   not in it -- pusher:subscribe, webhook ---> SubscribeCalls asks, then one of the others
//   not in it -- pusher:subscribe ------------> joining (hub)
//   joining   -- joined() --------------------> in it (pusher_internal:subscription_succeeded)
//   in it     -- pusher:subscribe ------------> in it, told again; a presence channel's info is the newer one
//   any       -- pusher:unsubscribe ----------> not in it; nothing is said
// What a name asks for is the app's signature; a public name asks for what the channel's rules say: "subscribe token" for
// the signature as well or a JWT (channel_token.h), both in "auth", "subscribe webhook" for the application's word.
// The tag of a subscription is the user that it is present as; empty in other channels than those of presence.
//
// Owner      Pusher.
// Thread     Worker loop thread only.
// Limits     The hub's and those of the channel's rules; above presence_limit members are counted, not listed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/config/model.h"
#include "common/ipc/messages.h"
#include "common/json/value.h"
#include "worker/proto/channel_policy.h"
#include "worker/proto/pusher/app_events.h"
#include "worker/proto/pusher/channel_name.h"
#include "worker/proto/pusher/clients.h"
#include "worker/proto/pusher/subscription_counts.h"

namespace beamgate::pusher {

class Subscribing {
 public:
  static constexpr size_t kUserBytesMax = 128;

  Subscribing(Clients& clients, proto::ChannelPolicy& policy, AppEvents& events, SubscriptionCounts& counts)
      : clients_(clients), policy_(policy), events_(events), counts_(counts) {}

  // data: of pusher:subscribe and pusher:unsubscribe.  Not null: whom to ask about it before anything is done.
  std::shared_ptr<const config::Webhook> subscribe(record::Record& record, const config::App& app,
                                                   const json::Value& data);
  void unsubscribe(record::Record& record, const config::App& app, const json::Value& data);
  // The application has been asked.
  void subscribe_allowed(record::Record& record, const config::App& app, const json::Value& data);
  void refuse(record::Record& record, std::string_view channel, std::string_view type, std::string_view error,
              uint16_t status);
  void joined(record::Record& record, const ipc::ChannelState& state);
  void leave_all(record::Record& record);

 private:
  struct Wanted {
    std::string_view channel;  // As the client knows it.
    std::string on_node;
    ChannelName name;
  };
  struct Member {
    std::string user;
    std::string info;  // JSON, or empty.
  };

  std::optional<Wanted> read(record::Record& record, const config::App& app, const json::Value& data);
  bool admit(record::Record& record, const config::App& app, const Wanted& wanted, const json::Value& data);
  bool has_signature(const record::Record& record, const config::App& app, std::string_view channel,
                     const json::Value& data) const;
  bool shows_token(const record::Record& record, std::string_view on_node, const json::Value& data) const;
  void enter(record::Record& record, const config::App& app, const Wanted& wanted, const json::Value& data);
  std::optional<Member> member_of(const record::Record& record, const config::App& app, const json::Value& data) const;
  void join(record::Record& record, const Wanted& wanted, const Member& member);
  void tell_again(record::Record& record, const Wanted& wanted, const Member& member);
  void succeed(record::Record& record, std::string_view channel, std::string_view data);

  Clients& clients_;
  proto::ChannelPolicy& policy_;
  AppEvents& events_;
  SubscriptionCounts& counts_;
};

}  // namespace beamgate::pusher
