// Overview: what the dashboard's first view shows, as one JSON object; the page asks for it once a second.
//
//   time_ms       Unix time
//   status        StatusHandler::status()
//   more          further counters and gauges of the node, by the names below
//   webhooks      {"bounds_us","buckets","sum_us"} of the durations of calls; buckets are not cumulative, and there is
//                 one more of them than bounds
//   workers       WorkerCalls' rows
//   history       [{"time_ms","pid","level","text"}]: starts, reloads and upgrades, newest first
//   troubles      the same with "slot" (null: the master's): lines of the error log from warn on; kTroublesMax of them
#pragma once

#include <functional>

#include "common/json/value.h"
#include "worker/api/status_handler.h"
#include "worker/api/worker_calls.h"
#include "worker/context.h"

namespace beamgate::api::dashboard {

class Overview {
 public:
  static constexpr size_t kTroublesMax = 40;

  Overview(Context& context, const StatusHandler& status) : context_(context), status_(status), workers_(context) {}

  // False: the bus is full, and done is not called.
  [[nodiscard]] bool ask(std::function<void(json::Value&&)> done);

 private:
  json::Value describe() const;

  Context& context_;
  const StatusHandler& status_;
  WorkerCalls workers_;
};

}  // namespace beamgate::api::dashboard
