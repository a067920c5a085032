// StatusHandler: the node's figures in brief, for a location with "status on".
//
// Owner      Worker; one per process.  Every worker answers for the whole node: the figures are sums over the
//            metric pages that all workers share.
// Counting   "channels" counts a channel once for each worker that has a subscriber of it.
// Upstreams  "upstreams" has a row for each server, as this worker has found it: each finds out for itself.
// Format     A JSON object of numbers, "version" and "upstreams"; with "Accept: text/plain" one "name value" per line.
#pragma once

#include <string>

#include "common/json/value.h"
#include "worker/context.h"
#include "worker/http/exchange.h"
#include "worker/upstream/pool.h"

namespace beamgate::api {

class StatusHandler final : public http::Handler {
 public:
  StatusHandler(Context& context, const upstream::Pool& upstreams);

  void handle(http::Exchange& exchange) override;

  json::Value status() const;

 private:
  Context& context_;
  const upstream::Pool& upstreams_;
  const int64_t started_ms_;  // Of the node; of this worker when that is not known.
};

}  // namespace beamgate::api
