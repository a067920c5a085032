// Action runner: does what a reply of the application asks for, in this order: state, user, subscribe,
// unsubscribe, send, publish, close.
//
// Between subscribe and the rest lies the hub's confirmation: what the client is told by `send` is true
// already, and a publication that is made because of it reaches the client.
//
// Owner      Raw.
// Thread     Worker loop thread only.
// Errors     An action that can't be done (a channel's name is none, too many subscriptions) is logged and left
//            out; the others are done.
#pragma once

#include <functional>
#include <memory>

#include "worker/context.h"
#include "worker/hook/webhooks.h"
#include "worker/proto/bus_wait.h"
#include "worker/proto/connection_ops.h"
#include "worker/record/record.h"

namespace beamgate::proto {

using SharedActions = std::shared_ptr<const hook::Actions>;

class ActionRunner {
 public:
  using OnDone = std::function<void(record::Record*)>;  // Null: the connection has gone meanwhile.

  ActionRunner(Context& context, ConnectionOps& ops, BusWait& bus_wait)
      : context_(context), ops_(ops), bus_wait_(bus_wait) {}

  // State, user, subscribe.
  void prepare(record::Record& record, const hook::Actions& actions);
  // Unsubscribe, send, publish, close; done runs once, at once unless the bus is full.
  void complete(record::Record& record, SharedActions actions, OnDone done);
  // Both, with the confirmation between them.  Publications are made even when the connection goes meanwhile.
  void run(record::Record& record, SharedActions actions, OnDone done);
  // Publications only, of a reply to a connection that has gone.
  void publish_only(SharedActions actions);

 private:
  void publish_from(record::ConnId id, const SharedActions& actions, size_t next, const OnDone& done);
  void refused(const record::Record& record, const char* action, const Error& error);

  Context& context_;
  ConnectionOps& ops_;
  BusWait& bus_wait_;
};

}  // namespace beamgate::proto
