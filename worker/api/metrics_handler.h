// MetricsHandler: every metric of the node in Prometheus' text format 0.0.4, for a location with "metrics on".
//
// Owner      Worker; one per process.  Counters are sums over the pages that all workers share, so any worker
//            may answer a scrape, and a replaced worker's counts stay in.
#pragma once

#include "worker/context.h"
#include "worker/http/exchange.h"

namespace beamgate::api {

class MetricsHandler final : public http::Handler {
 public:
  explicit MetricsHandler(Context& context) : context_(context) {}

  void handle(http::Exchange& exchange) override;

 private:
  Context& context_;
};

}  // namespace beamgate::api
