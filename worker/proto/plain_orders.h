// Plain orders: what the application may do, by the server API, to clients that don't speak WebSocket.
//
// Owner      Who serves them; ConnectionOps asks it.
// Thread     Worker loop thread only.
#pragma once

#include <string_view>

#include "common/metrics/metrics.h"
#include "worker/record/record.h"

namespace beamgate::proto {

class PlainOrders {
 public:
  virtual ~PlainOrders() = default;

  // why: what it is counted as.
  virtual void close(record::Record& record, metrics::Metric why) = 0;
  // REQUIRES: it is subscribed.
  virtual void unsubscribe(record::Record& record, std::string_view channel) = 0;
};

}  // namespace beamgate::proto
