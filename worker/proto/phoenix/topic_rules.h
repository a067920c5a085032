// Topic rules: what a client may do in a topic by itself: what the channel's rules say, and nobody else's user channel.
//
// Owner      Topics.
// Thread     Worker loop thread only.
// Tokens     Where a channel wants one, the join's payload has it, as "token": a JWT of websocket_token's kind, whose
//            "channel" is the topic and whose user is the connection's.
#pragma once

#include <memory>
#include <string_view>

#include "worker/context.h"
#include "worker/proto/channel_policy.h"
#include "worker/proto/phoenix/message.h"
#include "worker/record/record.h"

namespace beamgate::proto::phoenix {

class TopicRules {
 public:
  TopicRules(Context& context, ChannelPolicy& policy) : context_(context), policy_(policy) {}

  // A reason for the client, and counted; null: it may.  asked: there is an application that decides what is not denied
  // to all.
  const char* refuse_join(const record::Record& record, const Message& message, bool asked) const;
  const char* refuse_publish(const Message& message) const;  // Takes from the channel's rate.

  // Who is asked about a join or a push: the location's application, unless the channel has one of its own
  // for joins; about pushes that one where the location has none.  Null: nobody.
  std::shared_ptr<const config::Webhook> endpoint_of(const record::Record& record,
                                                     const Message& message) const;
  // A push that would be published if the channel's rules named no application: that is what it is asked.
  bool is_publication(const record::Record& record, const Message& message) const;

  bool has_presence(std::string_view topic) const { return policy_.rules_of(topic).presence; }
  void prepare(const record::Record& record, std::string_view topic, std::string& user,
               hub::JoinOptions& options) const {
    policy_.prepare(record, topic, user, options);
  }

 private:
  const config::WebSocketAction* action_of(const record::Record& record) const;
  bool shows_token(const record::Record& record, const Message& message) const;

  Context& context_;
  ChannelPolicy& policy_;
};

}  // namespace beamgate::proto::phoenix
