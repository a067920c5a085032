// Connection events: what an application hears of a connection's beginning and end.
//
// Owner      One per mode and worker.
// Thread     Worker loop thread only.
#pragma once

#include <memory>
#include <string_view>

#include "worker/context.h"
#include "worker/hook/webhooks.h"
#include "worker/proto/subjects.h"
#include "worker/ws/application.h"

namespace beamgate::proto {

class ConnectionEvents {
 public:
  using Endpoint = std::shared_ptr<const config::Webhook>;

  ConnectionEvents(Context& context, Subjects& subjects) : context_(context), subjects_(subjects) {}

  void connected(record::Record& record, const Endpoint& endpoint);
  void disconnected(record::Record& record, const Endpoint& endpoint, const ws::Ending& ending);

 private:
  void post(record::Record& record, const Endpoint& endpoint, std::string_view type, std::string_view data);

  Context& context_;
  Subjects& subjects_;
};

// Why a connection ended, in one word: "client" and "application" closed it, "lost" without a Close;
// "shutdown", "protocol_error", "too_big", "policy", "internal_error", "restart", "overloaded" are ours.
std::string_view reason_of(const ws::Ending& ending);

}  // namespace beamgate::proto
