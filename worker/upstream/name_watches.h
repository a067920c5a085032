// Name watches: asks again for the names of "server name resolve", each before its answer is too old.
//
// Owner      ProxyHandler.
// Thread     Worker loop thread only.
// Limits     One question at a time for each name of each upstream.
// Errors     A name that isn't answered leaves the last addresses in use, and is asked for again after
//            kRetryMs, or Resolver::valid_ms when that is less.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "worker/upstream/deadlines.h"
#include "worker/upstream/group.h"
#include "worker/upstream/health_checks.h"
#include "worker/upstream/resolver.h"

namespace beamgate::upstream {

class NameWatches {
 public:
  static constexpr int64_t kRetryMs = 5'000;
  static constexpr int64_t kValidMsMin = 1'000;  // Whatever an answer says.
  static constexpr int64_t kValidMsMax = 86'400'000;

  NameWatches(Deadlines& deadlines, Resolver& resolver, HealthChecks& checks, log::Log& log,
              metrics::Page& metrics);
  ~NameWatches();

  // Asks so from now on; all watches begin anew with follow().
  void configure(const config::Resolver& resolver);
  void follow(Group& group);

 private:
  class Watch;

  Deadlines& deadlines_;
  Resolver& resolver_;
  HealthChecks& checks_;
  log::Log& log_;
  metrics::Page& metrics_;
  int64_t valid_ms_ = 0;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<Watch>> watches_;  // By upstream and name.
};

}  // namespace beamgate::upstream
