// MetricsHandler: every metric of the node in Prometheus' text format 0.0.4, for a location with "metrics on".
//
// Owner      Worker; one per process.  Counters are sums over the pages that all workers share, so any worker
//            may answer a scrape, and a replaced worker's counts stay in.
// Upstreams  beamgate_upstream_server_up{upstream,server} is 1 or 0, as the worker that answers has found it.
#pragma once

#include "worker/context.h"
#include "worker/http/exchange.h"
#include "worker/upstream/pool.h"

namespace beamgate::api {

class MetricsHandler final : public http::Handler {
 public:
  MetricsHandler(Context& context, const upstream::Pool& upstreams) : context_(context), upstreams_(upstreams) {}

  void handle(http::Exchange& exchange) override;

 private:
  Context& context_;
  const upstream::Pool& upstreams_;
};

}  // namespace beamgate::api
