// Request limits: what limit_req and limit_conn of a location say to one request.
//
// Owner      Dispatcher.
// Thread     Worker loop thread only; what is counted is shared with every worker.
// Source     nginx's modules of these names; a request is counted by the address that set_real_ip_from has found.
// Errors     None: what can't be counted is let through.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/keyed_hash.h"
#include "common/config/model.h"
#include "common/ipc/rate_table.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "worker/http/served_exchange.h"

namespace beamgate::http {

class RequestLimits {
 public:
  RequestLimits(metrics::Page& metrics, log::Log& log) : metrics_(metrics), log_(log), hash_(0) {}

  // Without it no rate is limited.  seed: the node's, for hashing keys.
  void share(ipc::RateTable* rates, uint64_t seed);

  struct Verdict {
    uint16_t status = 0;   // Not 0: refuse with it.
    int64_t delay_ms = 0;  // Else hold the request back for so long.
  };
  Verdict check_rates(Request& request, const record::Record& record, int64_t now_ms);

  // 0, and the exchange is counted until its uncount(); else the status to refuse with.
  uint16_t check_connections(ServedExchange& exchange);

 private:
  uint64_t key_of(const config::LimitZone& zone, const Request& request, const record::Record& record);
  void report(const char* event, log::Level level, const config::LimitZone& zone, const Request& request,
              const record::Record& record, bool dry_run);

  metrics::Page& metrics_;
  log::Log& log_;
  ipc::RateTable* rates_ = nullptr;
  KeyedHash hash_;
  std::string key_;
};

}  // namespace beamgate::http
