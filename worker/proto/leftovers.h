// Leftovers: messages of clients that were gone before the application had been given them.
//
// A client may send and close at once; what it sent was received and is delivered all the same, in order, one
// call at a time per connection.  Replies can reach nobody any more; only their publications are made.
//
// Owner      HookMessages.
// Thread     Worker loop thread only.
// Limits     kConnectionsMax connections with at most connection_queue messages each; one more is dropped and
//            logged.  A message that fails is not sent again, and the rest of its connection is dropped.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "worker/context.h"
#include "worker/hook/webhooks.h"
#include "worker/proto/action_runner.h"
#include "worker/proto/hook_queue.h"
#include "worker/proto/message_dialect.h"
#include "worker/proto/subjects.h"

namespace beamgate::proto {

class Leftovers {
 public:
  static constexpr size_t kConnectionsMax = 1024;

  Leftovers(Context& context, ActionRunner& runner, Subjects& subjects, MessageDialect& dialect)
      : context_(context), queue_(context.arena), runner_(runner), subjects_(subjects), dialect_(dialect) {}

  // Takes the record's messages.  They are sent from start() on, because one may still be in flight.
  void take(record::Record& record, const std::shared_ptr<const config::Webhook>& endpoint);
  void start(uint64_t uid);  // Unknown ones are ignored.
  // The call that was under way when the client went is answered.
  void settle(uint64_t uid, const hook::Reply& reply);

 private:
  struct Message {
    bool binary = false;
    uint32_t sequence = 0;
    std::string bytes;
  };
  struct Gone {
    std::shared_ptr<const config::Webhook> endpoint;
    std::string listener, user, state, fields;
    std::deque<Message> messages;
  };

  void on_reply(uint64_t uid, const hook::Reply& reply);

  Context& context_;
  HookQueue queue_;
  ActionRunner& runner_;
  Subjects& subjects_;
  MessageDialect& dialect_;
  std::unordered_map<uint64_t, Gone> gone_;  // By uid.
};

}  // namespace beamgate::proto
