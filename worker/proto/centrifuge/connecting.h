// Connecting: the connect command: whose connection it is, what it is subscribed to without asking, and the reply.
//
// A location with a token wants a valid one: what it says of the user takes the place of what the application said at
// the handshake; an expired one gets error 109, so that the client brings another, any other a disconnect.
//
// Channels   Those of the token ("channels", "subs"), of the application's reply and of websocket_subscribe.  Where
//            there is history the reply has what the client has missed, and the hub is joined behind that: what is published
//            meanwhile follows the reply.  Without history there is no position to keep, and the hub is joined first.
// Waiting    While the hub is asked the socket is not read, and the rest of the frame waits here.
// Owner      Centrifuge.
// Thread     Worker loop thread only.
// State      Nothing that is under way here survives; a successor has such a client come again (3011).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/proto/centrifuge/channel_access.h"
#include "worker/proto/centrifuge/sender.h"
#include "worker/proto/centrifuge/session.h"
#include "worker/proto/centrifuge/subscriptions.h"
#include "worker/proto/connection_ops.h"

namespace beamgate::proto::centrifuge {

class Connecting {
 public:
  static constexpr size_t kChannelsMax = 128;  // Of one connection, without asking.

  // Told when a client is connected, with what it has said in the same frame.
  using OnConnected = std::function<void(record::Record&, std::string_view rest)>;

  Connecting(Context& context, ConnectionOps& ops, ws::WebSockets& websockets, ChannelAccess& access,
             Subscriptions& subscriptions, Alarms& alarms, OnConnected on_connected)
      : context_(context), ops_(ops), sender_(websockets), access_(access), subscriptions_(subscriptions),
        alarms_(alarms), on_connected_(std::move(on_connected)) {}

  // rest: what follows the command in its frame.
  void connect(record::Record& record, const Command& command, std::string_view rest);
  // The connection's token again, or a newer one.
  void refresh(record::Record& record, const Command& command);
  // By the server API: until then, or no longer.
  void refresh_by_server(record::Record& record, bool expired, int64_t expires_s);
  void check_expiry(record::Record& record);

  bool is_under_way(const record::Record& record) const;
  void forget(const record::Record& record);

 private:
  struct UnderWay {
    record::ConnId id;
    uint64_t command = 0;
    std::string rest;
    json::Value positions;                      // By channel: what the client has.
    std::vector<std::string> channels;
    std::map<std::string, std::string> results;  // By channel: JSON for the reply.
    std::map<std::string, SubscriptionTag> to_join;
    std::vector<std::string> held;              // In the hub, so that the channel stays what it was asked about.
    size_t result_bytes = 0;
    size_t questions = 0;                        // That are not answered yet.
  };

  // False: refused, and the client told.
  bool read_token(record::Record& record, const Command& command, Session& session);
  void open_channels(record::Record& record, UnderWay& under_way);
  void ask_history(record::ConnId id, const std::string& channel, const config::ChannelRules& rules,
                   const SubscriptionTag& tag);
  void on_history(record::ConnId id, const SubscriptionTag& tag, const std::string& channel,
                  const ipc::ChannelState& state);
  void confirm(record::Record& record, UnderWay& under_way);
  void finish(record::Record& record);
  std::string result(const record::Record& record, const Session& session, const UnderWay& under_way) const;
  UnderWay* find(record::ConnId id);
  void release(const UnderWay& under_way);

  Context& context_;
  ConnectionOps& ops_;
  Sender sender_;
  ChannelAccess& access_;
  Subscriptions& subscriptions_;
  Alarms& alarms_;
  OnConnected on_connected_;
  std::unordered_map<uint32_t, UnderWay> under_way_;  // By slot.
};

}  // namespace beamgate::proto::centrifuge
