#include "worker/hook/endpoint.h"

#include <algorithm>
#include <optional>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "worker/record/uid.h"

namespace beamgate::hook {
namespace {

using metrics::Metric;

const char* word(Outcome outcome) {
  switch (outcome) {
    case Outcome::Answered: return "status";
    case Outcome::Unreachable: return "unreachable";
    case Outcome::TimedOut: return "timed_out";
    case Outcome::TooBig: return "reply_too_big";
    case Outcome::Malformed: return "malformed_reply";
    case Outcome::Overloaded: return "overloaded";
  }
  return "";
}

// Answered with a status that is neither yes nor no.
bool is_no_answer(const Reply& reply, Refusals refusals) {
  if (reply.status >= 500) return true;
  if (reply.status < 400) return !reply.accepted();
  switch (refusals) {
    case Refusals::Any: return false;
    case Refusals::Denials: return reply.status != 401 && reply.status != 403 && !reply.later();
    case Refusals::None: return reply.status != 410 && !reply.later();
  }
  return true;
}

// What a call that has ended so is counted as; nothing: it has not failed.
std::optional<Metric> failure_of(const Reply& reply, Refusals refusals, Metric unreachable) {
  switch (reply.outcome) {
    case Outcome::Answered: break;
    case Outcome::Unreachable: return unreachable;
    case Outcome::TimedOut: return Metric::WebhookFailuresTimeout;
    case Outcome::TooBig: return Metric::WebhookFailuresTooLarge;
    case Outcome::Malformed: return Metric::WebhookFailuresMalformed;
    case Outcome::Overloaded: return Metric::WebhookFailuresQueueFull;
  }
  return is_no_answer(reply, refusals) ? std::optional(Metric::WebhookFailuresStatus) : std::nullopt;
}

}  // namespace

Endpoint::Endpoint(std::shared_ptr<const config::Webhook> config, MakeCaller make_caller, log::Log& log,
                   metrics::Page& metrics, std::function<void(Job&)> settle)
    : config_(std::move(config)),
      make_caller_(std::move(make_caller)),
      caller_(make_caller_(config_)),
      log_(log),
      metrics_(metrics),
      settle_(std::move(settle)),
      breaker_(config_->breaker_failures, config_->breaker_cooldown_ms) {}

Endpoint::~Endpoint() { BG_ASSERT(in_flight_ == 0); }

void Endpoint::configure(const std::shared_ptr<const config::Webhook>& config) {
  if (config == config_) return;
  config_ = config;
  breaker_.configure(config_->breaker_failures, config_->breaker_cooldown_ms);
  caller_ = make_caller_(config_);
}

void Endpoint::submit(Job& job) {
  const int64_t now = monotonic_ms();
  job.deadline_ms = now + config_->timeout_ms;
  if (in_flight_ < config_->concurrency && waiting_.empty()) {
    return breaker_.admit(now) ? start(job) : refuse(job);
  }
  const bool room = waiting_.size() < config_->queue && waiting_bytes_ + job.body.size() <= kQueueBytesMax;
  if (breaker_.state() != Breaker::State::Closed) return refuse(job);
  if (!room) return settle(job, Outcome::Overloaded, Metric::WebhookFailuresQueueFull);
  job.stage = Job::Stage::Waiting;
  job.place = waiting_.insert(waiting_.end(), &job);
  waiting_bytes_ += job.body.size();
}

void Endpoint::withdraw(Job& job) {
  if (job.stage == Job::Stage::Waiting) leave_queue(job);
  if (job.stage != Job::Stage::InFlight) return;
  leave_wire(job);
  breaker_.on_cancelled(monotonic_ms());
  start_waiting();
}

Reply Endpoint::complete(Job& job, const Ending& ending) {
  leave_wire(job);
  metrics_.observe(metrics::Histogram::WebhookDuration, monotonic_us() - job.started_us);
  Reply reply;
  // Whoever has taken what it was told has taken it, whatever comes behind the status.
  const bool taken = job.reader.status_only() && ending.status >= 200 && ending.status < 300;
  const bool answered = ending.outcome == Outcome::Answered || taken;
  if (answered) {
    reply = job.reader.finish(ending.status, wall_ms());
  } else {
    reply.outcome = ending.outcome;
  }
  if (const auto why = failure_of(reply, job.refusals, ending.unreachable)) {
    metrics_.add(*why);
    const std::string status = std::to_string(reply.status);
    const std::string_view detail = reply.outcome == Outcome::Answered ? status
                                    : answered                         ? std::string_view(job.reader.error())
                                                                       : std::string_view(ending.detail);
    log_.warn("webhook_failed", {{"connection", record::format_uid_or_none(job.uid)}, {"webhook", config_->name},
                                 {"outcome", word(reply.outcome)}, {"detail", detail}});
  }
  judge(reply);
  return reply;
}

// A failure says that nobody can be served, not that one request was bad: a 500 for what one client sent must
// not cut off all others.
void Endpoint::judge(const Reply& reply) {
  const bool gateway_status = reply.status == 502 || (reply.status == 503 && !reply.later()) || reply.status == 504;
  const bool no_http = reply.outcome == Outcome::Malformed && reply.status == 0;
  const bool failed = reply.outcome == Outcome::Unreachable || reply.outcome == Outcome::TimedOut || no_http ||
                      gateway_status;
  if (!failed) {
    if (breaker_.state() != Breaker::State::Closed) log_.notice("webhook_breaker_closed", {{"webhook", config_->name}});
    return breaker_.on_success();
  }
  if (!breaker_.on_failure(monotonic_ms())) return;
  metrics_.add(Metric::WebhookBreakerOpened);
  log_.error("webhook_breaker_open",
             {{"webhook", config_->name}, {"cooldown_ms", config_->breaker_cooldown_ms}});
  refuse_waiting();
}

void Endpoint::start_waiting() {
  while (in_flight_ < config_->concurrency && !waiting_.empty()) {
    Job& job = *waiting_.front();
    leave_queue(job);
    breaker_.admit(monotonic_ms()) ? start(job) : refuse(job);
  }
}

int64_t Endpoint::expire(int64_t now_ms) {
  while (!waiting_.empty() && waiting_.front()->deadline_ms <= now_ms) {
    Job& job = *waiting_.front();
    leave_queue(job);
    settle(job, Outcome::TimedOut, Metric::WebhookFailuresTimeout);
  }
  return waiting_.empty() ? 0 : waiting_.front()->deadline_ms;
}

void Endpoint::start(Job& job) {
  metrics_.add(Metric::WebhookRequests);
  job.stage = Job::Stage::InFlight;
  job.caller = caller_;
  job.started_us = monotonic_us();
  ++in_flight_;
  metrics_.add(Metric::WebhooksActive);
  job.transfer = caller_->start(job, std::max<int64_t>(job.deadline_ms - monotonic_ms(), 1));
}

void Endpoint::settle(Job& job, Outcome outcome, Metric why) {
  metrics_.add(why);
  job.stage = Job::Stage::Settled;
  job.settled = outcome;
  log_.warn("webhook_failed", {{"connection", record::format_uid_or_none(job.uid)}, {"webhook", config_->name},
                               {"outcome", word(outcome)}});
  settle_(job);
}

void Endpoint::refuse_waiting() {
  while (!waiting_.empty()) {
    Job& job = *waiting_.front();
    leave_queue(job);
    refuse(job);
  }
}

void Endpoint::leave_queue(Job& job) {
  waiting_.erase(job.place);
  waiting_bytes_ -= job.body.size();
  job.stage = Job::Stage::Settled;
}

void Endpoint::leave_wire(Job& job) {
  --in_flight_;
  metrics_.subtract(Metric::WebhooksActive);
  job.stage = Job::Stage::Settled;
  job.transfer.reset();
  job.caller.reset();
}

}  // namespace beamgate::hook
