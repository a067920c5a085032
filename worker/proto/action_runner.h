// Action runner: does what a reply of the application asks for, in this order: state, user, subscribe,
// unsubscribe, send, publish, close.
//
// A close waits until the bus has acknowledged what was published before it, kAcknowledgedMs at most: so the sender gets
// its own publication, if it is subscribed.
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
#include <map>
#include <memory>

#include "common/uv/timer.h"
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

  static constexpr int64_t kAcknowledgedMs = 5'000;

  ActionRunner(Context& context, ConnectionOps& ops, BusWait& bus_wait)
      : context_(context), ops_(ops), bus_wait_(bus_wait), closing_timer_(context.loop, [this] { close_late(); }) {}

  // State, user, subscribe.
  void prepare(record::Record& record, const hook::Actions& actions);
  // Unsubscribe, send, publish, close; done runs once, at once unless the bus is full or has to acknowledge.
  void complete(record::Record& record, SharedActions actions, OnDone done);
  // Both, with the confirmation between them.  Publications are made even when the connection goes meanwhile.
  void run(record::Record& record, SharedActions actions, OnDone done);
  // Publications only, of a reply to a connection that has gone.
  void publish_only(SharedActions actions);

 private:
  void publish_from(record::ConnId id, const SharedActions& actions, size_t next, const OnDone& done);
  void close(record::ConnId id, const hook::Actions& actions, const OnDone& done);
  uint64_t close_later(record::ConnId id, const SharedActions& actions, const OnDone& done);
  void close_waiting(uint64_t number);
  void close_late();
  void refused(const record::Record& record, const char* action, const Error& error);

  Context& context_;
  ConnectionOps& ops_;
  BusWait& bus_wait_;

  struct Closing {
    int64_t late_ms = 0;  // Monotonic.
    record::ConnId id;
    SharedActions actions;
    OnDone done;
  };
  std::map<uint64_t, Closing> closing_;  // By number, so the oldest first.
  uint64_t next_closing_ = 1;
  uv::Timer closing_timer_;
};

}  // namespace beamgate::proto
