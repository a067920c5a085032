// Worker calls: which processes serve the node: asked of all of them, completed from their metrics.
//
// Owner      Dashboard; one per worker.  It asks every worker through hub::Remote and answers for this one.
// Thread     Worker loop thread only.
//
//   [{"slot","worker","pid","generation","uptime","connections","websockets","loop_lag_us","memory","arena",
//     "messages_received","deliveries"}]
// generation is that of the configuration in force, uptime in seconds, memory (resident) and arena in bytes; by slot.
#pragma once

#include <functional>
#include <string>

#include "common/json/value.h"
#include "worker/context.h"

namespace beamgate::api {

class WorkerCalls {
 public:
  using OnRows = std::function<void(json::Value&& rows)>;

  explicit WorkerCalls(Context& context);

  // False: the bus is full, and done is not called.
  [[nodiscard]] bool ask(OnRows done);

 private:
  std::string answer() const;

  Context& context_;
  const int64_t started_ms_;
};

}  // namespace beamgate::api
