// ConnectionOps: what an application may do to one connection, by webhook reply or by API call.
//
// Owner      One per worker; the raw mode and the API share it.
// Thread     Worker loop thread only.
// Limits     kUserBytesMax, kStateBytesMax; channels and queues as Hub and WebSockets say.
// Errors     Refusals are answers, never side effects: a refused operation has changed nothing, except that
//            send() may apply the slow-reader policy of the location.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/result.h"
#include "worker/context.h"
#include "worker/hub/hub.h"
#include "worker/proto/orders.h"
#include "worker/proto/channel_policy.h"
#include "worker/proto/plain_orders.h"
#include "worker/record/record.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto {

class ConnectionOps {
 public:
  static constexpr size_t kUserBytesMax = ipc::kUserBytesMax;
  static constexpr size_t kStateBytesMax = 4096;

  using OnConfirmed = std::function<void(record::Record*)>;

  // Takes Hub::set_on_subscribed and Connections::set_on_free for itself.
  ConnectionOps(Context& context, ws::WebSockets& websockets, ChannelPolicy& policy);
  ~ConnectionOps();
  ConnectionOps(const ConnectionOps&) = delete;
  ConnectionOps& operator=(const ConnectionOps&) = delete;

  // How the connections of a protocol are told what is done to them; without it, as the bytes are.
  void set_orders(record::Protocol protocol, Orders& orders) { orders_[static_cast<size_t>(protocol)] = &orders; }
  // The same of clients that don't speak WebSocket; the others aren't the application's.
  void set_orders(record::Protocol protocol, PlainOrders& orders) { plain_orders_[static_cast<size_t>(protocol)] = &orders; }

  // It is a client: an open WebSocket, a reader of channels or a line; not a request, nor what is only on its way here.
  bool is_client(const record::Record& record) const;

  // The connection, while it is in phase WebSocket; null afterwards.
  record::Record* find_open(record::ConnId id);

  // Empty text clears.  The user's connections are members of hub::user_channel(): that is how the node knows them and
  // reaches them; use when_confirmed() before telling anybody that it is done.  Invalid: control bytes or no UTF-8 in a user; LimitReached: too long, arena full.
  Result<void> set_user(record::Record& record, std::string_view user);
  Result<void> set_state(record::Record& record, std::string_view state);
  std::string_view user_of(const record::Record& record) const;
  std::string_view state_of(const record::Record& record) const;

  // Pending: use when_confirmed() before telling anybody that it is done.  In a handshake it is a plain subscription, of
  // which the protocol makes what the channel's rules say (ChannelPolicy::subscribe()).
  Result<hub::Subscribed> subscribe(record::Record& record, std::string_view channel);
  bool unsubscribe(record::Record& record, std::string_view channel);  // False: was not subscribed.

  // False: not an open WebSocket, or its queue is full and the slow-reader policy has been applied.
  bool send(record::Record& record, bool binary, std::string_view bytes);
  // why: what it is counted as; code: valid_close_code(), which its protocol may have another one for; the reason is cut
  // to 123 bytes.  Where it speaks no WebSocket, these two mean nothing.
  void close(record::Record& record, metrics::Metric why, uint16_t code, std::string_view reason);
  // Until when the application answers for it (Unix time; 0: for ever), or no longer.  False: its protocol has no
  // such thing.
  bool refresh(record::Record& record, bool expired, int64_t expires_s);
  // What an endpoint may send (RFC 6455 section 7.4): 1000 to 1003, 1007 to 1014, 3000 to 4999.
  static bool valid_close_code(uint64_t code);

  // Runs `done`, once, when every subscription of the connection is confirmed (at once if they are), or with
  // null when the connection goes before that.
  void when_confirmed(record::Record& record, OnConfirmed done);

  // Somebody waits for it to be confirmed.
  bool waits(const record::Record& record) const;

  // Whoever waits is told null; done for every connection that goes.
  void forget(const record::Record& record);

 private:
  struct Waiting {
    record::ConnId id;
    std::vector<OnConfirmed> done;
  };

  void on_subscribed(record::ConnId id);
  Orders* orders_for(const record::Record& record) const;
  PlainOrders* plain_orders_for(const record::Record& record) const;

  Context& context_;
  ws::WebSockets& websockets_;
  ChannelPolicy& policy_;
  std::unordered_map<uint32_t, Waiting> waiting_;  // By slot.
  Orders* orders_[static_cast<size_t>(record::kLastProtocol) + 1] = {};
  PlainOrders* plain_orders_[static_cast<size_t>(record::kLastProtocol) + 1] = {};
};

}  // namespace beamgate::proto
