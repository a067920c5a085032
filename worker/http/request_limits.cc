#include "worker/http/request_limits.h"
#include "worker/record/uid.h"

#include <algorithm>

namespace beamgate::http {
namespace {

using config::RequestLimit;
using metrics::Metric;

// Delays are logged one level below refusals.
log::Level below(log::Level level) {
  return level == log::Level::Debug ? level : static_cast<log::Level>(static_cast<int>(level) + 1);
}

ipc::RateTable::Rate rate_of(const RequestLimit& limit) {
  return {.per_second_milli = limit.zone->rate_milli, .burst_milli = limit.burst_milli};
}

// How long until the excess above what needs no delay has drained.
int64_t delay_of(const RequestLimit& limit, uint32_t excess_milli) {
  if (limit.delay_milli == RequestLimit::kNoDelay || excess_milli <= limit.delay_milli) return 0;
  return int64_t{excess_milli - limit.delay_milli} * 1'000 / limit.zone->rate_milli;
}

}  // namespace

void RequestLimits::share(ipc::RateTable* rates, uint64_t seed) {
  rates_ = rates;
  hash_ = KeyedHash(seed);
}

// 0: the key is empty, which is not counted.
uint64_t RequestLimits::key_of(const config::LimitZone& zone, const Request& request, const record::Record& record) {
  key_.clear();
  expand(zone.key, request, record, key_);
  if (key_.empty()) return 0;
  key_ += '\0';
  key_ += zone.name;
  return std::max<uint64_t>(hash_(key_), 1);
}

void RequestLimits::report(const char* event, log::Level level, const config::LimitZone& zone, const Request& request,
                           const record::Record& record, bool dry_run) {
  log_.write(level, event, {{"connection", record::format_uid(record.uid)}, {"client", request.remote_address}, {"zone", zone.name},
                            {"dry_run", dry_run ? "yes" : "no"}});
}

// All limits but the last are only looked at first, so that a request which the last refuses costs nothing elsewhere.
RequestLimits::Verdict RequestLimits::check_rates(Request& request, const record::Record& record, int64_t now_ms) {
  const config::Limits& limits = request.location->limits;
  if (rates_ == nullptr || limits.requests.empty()) return {};
  struct Counted {
    const RequestLimit* limit;
    uint64_t key;
  };
  std::vector<Counted> counted;
  for (const RequestLimit& limit : limits.requests) {
    if (const uint64_t key = key_of(*limit.zone, request, record)) counted.push_back({&limit, key});
  }
  if (counted.empty()) return {};
  Verdict verdict;
  const RequestLimit* slowest = nullptr;
  const RequestLimit* refusing = nullptr;
  for (const bool counting : {false, true}) {
    for (size_t i = 0; i < counted.size() && refusing == nullptr; ++i) {
      if (!counting && i + 1 == counted.size()) break;
      const RequestLimit& limit = *counted[i].limit;
      const auto window = ipc::RateTable::window(limit.zone->name, limit.zone->bytes);
      const auto found = counting ? rates_->take(window, counted[i].key, rate_of(limit), now_ms)
                                  : rates_->look(window, counted[i].key, rate_of(limit), now_ms);
      if (!found.admitted) refusing = &limit;
      const int64_t delay_ms = counting && found.admitted ? delay_of(limit, found.excess_milli) : 0;
      if (delay_ms > verdict.delay_ms) {
        verdict.delay_ms = delay_ms;
        slowest = &limit;
      }
    }
  }
  const bool dry_run = limits.request_dry_run;
  if (refusing != nullptr) {
    verdict = {.status = limits.request_status};
    request.limit_req_status = dry_run ? "REJECTED_DRY_RUN" : "REJECTED";
    report("limit_req_refused", limits.request_log_level, *refusing->zone, request, record, dry_run);
    if (!dry_run) metrics_.add(Metric::RequestsRefusedLimitReq);
  } else if (slowest != nullptr) {
    request.limit_req_status = dry_run ? "DELAYED_DRY_RUN" : "DELAYED";
    report("limit_req_delayed", below(limits.request_log_level), *slowest->zone, request, record, dry_run);
    if (!dry_run) metrics_.add(Metric::LimitReqDelayed);
  } else {
    request.limit_req_status = "PASSED";
  }
  return dry_run ? Verdict{} : verdict;
}

uint16_t RequestLimits::check_connections(ServedExchange& exchange) {
  Request& request = exchange.request_to_fill();
  const config::Limits& limits = request.location->limits;
  for (const config::ConnectionLimit& limit : limits.connections) {
    const uint64_t key = key_of(*limit.zone, request, exchange.record());
    if (key == 0) continue;
    if (exchange.count_for(key, limit.connections)) {
      if (*request.limit_conn_status == '\0') request.limit_conn_status = "PASSED";
      continue;
    }
    const bool dry_run = limits.connection_dry_run;
    request.limit_conn_status = dry_run ? "REJECTED_DRY_RUN" : "REJECTED";
    report("limit_conn_refused", limits.connection_log_level, *limit.zone, request, exchange.record(), dry_run);
    if (dry_run) continue;
    exchange.uncount();
    metrics_.add(Metric::RequestsRefusedLimitConn);
    return limits.connection_status;
  }
  return 0;
}

}  // namespace beamgate::http
