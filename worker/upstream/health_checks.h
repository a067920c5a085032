// Health checks: asks each server of an upstream with "health_check", and takes it out or back in.
//
// Owner      ProxyHandler; each check is the companion of its Peer and goes with it.
// Thread     Worker loop thread only.  Every worker checks for itself.
// Limits     One request at a time to each server, on a connection of its own; nothing of a body is read.
// Precision  Up to Deadlines::kTickMs late.
#pragma once

#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "worker/net/poller.h"
#include "worker/upstream/deadlines.h"
#include "worker/upstream/group.h"

namespace beamgate::upstream {

class HealthChecks {
 public:
  HealthChecks(net::Poller& poller, Deadlines& deadlines, log::Log& log, metrics::Page& metrics)
      : parts_{poller, deadlines, log, metrics} {}

  // The group's servers, or what is asked of them, have changed.
  void follow(const Group& group);

 private:
  class Check;
  struct Parts {
    net::Poller& poller;
    Deadlines& deadlines;
    log::Log& log;
    metrics::Page& metrics;
  };

  Parts parts_;
};

}  // namespace beamgate::upstream
