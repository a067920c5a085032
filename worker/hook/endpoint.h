// Endpoint: the calls to one application: how many at once, how many wait, and whether it is up.
//
// Owner      CurlWebhooks, one for each webhook name; it outlives reloads and takes over changed settings.
// Thread     Worker loop thread only.
// Limits     concurrency in flight; queue calls or kQueueBytesMax bytes waiting; a breaker.  What is refused
//            is Settled as Overloaded, what waits too long as TimedOut.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>

#include "common/config/model.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "worker/hook/breaker.h"
#include "worker/hook/caller.h"
#include "worker/hook/job.h"

namespace beamgate::hook {

class Endpoint {
 public:
  static constexpr size_t kQueueBytesMax = size_t{64} << 20;

  // settle: takes a job whose stage has become Settled.
  using MakeCaller = std::function<std::shared_ptr<Caller>(const std::shared_ptr<const config::Webhook>&)>;
  Endpoint(std::shared_ptr<const config::Webhook> config, MakeCaller make_caller, log::Log& log,
           metrics::Page& metrics, std::function<void(Job&)> settle);
  ~Endpoint();  // REQUIRES: no job is in flight.
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  void configure(const std::shared_ptr<const config::Webhook>& config);
  const config::Webhook& config() const { return *config_; }

  void submit(Job& job);
  void withdraw(Job& job);              // Cancelled: leaves queue or wire.
  // The job's transfer has ended; what to tell.  Frees its place, start_waiting() comes next.
  Reply complete(Job& job, const Ending& ending);
  void start_waiting();                 // Fills free places from the queue.
  int64_t expire(int64_t now_ms);       // Settles what waited too long; when to look again, 0: nothing waits.

  Breaker::State breaker() const { return breaker_.state(); }
  uint32_t in_flight() const { return in_flight_; }
  size_t waiting() const { return waiting_.size(); }

 private:
  void start(Job& job);
  // Without a call on the wire.  why: what it is counted as.
  void settle(Job& job, Outcome outcome, metrics::Metric why);
  void refuse(Job& job) { settle(job, Outcome::Overloaded, metrics::Metric::WebhookFailuresBreaker); }
  void leave_queue(Job& job);
  void leave_wire(Job& job);
  void judge(const Reply& reply);
  void refuse_waiting();

  std::shared_ptr<const config::Webhook> config_;
  const MakeCaller make_caller_;
  std::shared_ptr<Caller> caller_;  // For the settings in force.
  log::Log& log_;
  metrics::Page& metrics_;
  std::function<void(Job&)> settle_;
  Breaker breaker_;
  std::list<Job*> waiting_;  // Oldest first.
  size_t waiting_bytes_ = 0;
  uint32_t in_flight_ = 0;
};

}  // namespace beamgate::hook
