// MetricsHandler: every metric of the node, for a location with "metrics on".
//
// Owner      Worker; one per process.  Counters are sums over the pages that all workers share, so any worker
//            may answer a scrape, and a replaced worker's counts stay in.
// Format     OpenMetrics 1.0 for those whose Accept prefers it, as Prometheus' own does; else Prometheus' text 0.0.4.
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
