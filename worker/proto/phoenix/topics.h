// Topics: what one client's messages are in the hub: it joins, leaves, publishes, and is told.
//
//   Out     -- join() -----------------------------------> Joining
//   Joining -- joined(): phx_reply, presence, newest ----> In
//   Joining -- joined(), not answered: an error reply ---> Out
//   Joining, In -- leave(): phx_reply, phx_close --------> Out
//   Joining, In -- another phx_join: phx_close ----------> Out, and Joining again
//   In      -- a gap, the application: phx_error/close --> Out
//
// A user's own channel can be joined too; its connections are subscribed to it all the same
// (ConnectionOps::set_user()), so that joining and leaving it is a matter of the tag.
//
// Owner      Phoenix; one per worker.  All of a connection's state is in its subscriptions (Tag).
// Thread     Worker loop thread only.
// Limits     kTopicsMax per connection, as in Phoenix.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/context.h"
#include "worker/hub/hub.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/phoenix/frames.h"
#include "worker/proto/phoenix/message.h"
#include "worker/proto/phoenix/payload.h"
#include "worker/proto/phoenix/tag.h"
#include "worker/proto/phoenix/topic_rules.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto::phoenix {

class Topics {
 public:
  static constexpr uint16_t kTopicsMax = 100;  // The user's own channel included.

  enum class Standing : uint8_t { Out, Joining, In, Stale };

  Topics(Context& context, ws::WebSockets& websockets, ConnectionOps& ops, ChannelPolicy& policy)
      : context_(context), websockets_(websockets), ops_(ops), rules_(context, policy) {}

  const TopicRules& rules() const { return rules_; }

  // Stale: the message is of a join that another one has followed.
  Standing standing_of(const record::Record& record, const Message& message) const;

  // Closes what an earlier join of the topic has left.  False: answered, it may not.  asked: an application
  // decides.
  bool may_join(record::Record& record, const Message& message, bool asked);
  // response: JSON for the reply, which the pushes follow.
  void join(record::Record& record, const Message& message, std::string_view response,
            const std::vector<Push>& pushes = {});
  void joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state);
  void leave(record::Record& record, const Message& message);
  // Ends a subscription from this side: phx_close or phx_error.  False: there is none.
  bool end(record::Record& record, std::string_view topic, std::string_view event, std::string_view payload);

  // True: it may not, and has been told.
  bool refused_to_publish(record::Record& record, const Message& message);
  // response: JSON for the reply, which the pushes follow.  False, and nothing has happened: the bus is full.
  [[nodiscard]] bool publish(record::Record& record, const Message& message, std::string_view response,
                             const std::vector<Push>& pushes = {});
  // The bus has not taken it, and it can't wait.
  void not_published(record::Record& record, const Message& message);
  // Replies to publications are on their way through the bus.
  bool awaits_receipts(const record::Record& record) const;
  void forget(const record::Record& record);

  // What its clients are told of a publication.  Empty, and counted, where its event is the protocol's own.
  Broadcast broadcast(std::string_view channel, ipc::PayloadKind kind, std::string_view payload,
                      const ipc::Origin& origin) const;

  // A message without ref wants no reply.
  void reply(record::Record& record, const Message& message, Status status, std::string_view response);
  void send(record::Record& record, std::string_view frame, bool binary = false);
  void send(record::Record& record, const std::vector<Push>& pushes);

 private:
  struct Awaited {
    record::ConnId id;
    uint32_t receipts = 0;
  };

  bool is_open(const record::Record& record) const;
  bool is_own_channel(const record::Record& record, std::string_view topic) const;
  void unsubscribe(record::Record& record, std::string_view topic);
  void tell_members(record::Record& record, std::string_view join_ref, const ipc::ChannelState& state);
  void receipt(record::ConnId id, const Message& message, const hub::PublishReceipt& receipt, std::string_view response,
               const std::vector<Push>& pushes);

  Context& context_;
  ws::WebSockets& websockets_;
  ConnectionOps& ops_;
  TopicRules rules_;
  std::unordered_map<uint32_t, Awaited> awaited_;  // By slot.
};

}  // namespace beamgate::proto::phoenix
