#include "worker/hook/curl_webhooks.h"

#include <algorithm>

#include "common/base/clock.h"
#include "worker/hook/cloud_event.h"
#include "worker/hook/curl_caller.h"
#include "worker/hook/fastcgi_caller.h"
#include "worker/hook/pusher_batch.h"

namespace beamgate::hook {

CurlWebhooks::CurlWebhooks(uv::Loop& loop, record::Arena& arena, log::Log& log, metrics::Page& metrics)
    : loop_(loop),
      log_(log),
      metrics_(metrics),
      multi_(loop,
             [this](CURL* easy, CURLcode code) {
               Ending ending;
               Job& job = CurlCaller::ended(easy, code, ending);
               on_end(job, ending);
             }),
      settled_timer_(loop, [this] { tell_settled(); }),
      expiry_timer_(loop, [this] { expire(); }),
      events_(loop, arena, log, metrics,
              [this](const auto& config, std::string_view id, std::string body, OnReply done) {
                RequestHead head = config->pusher_key.empty() ? head_of_batch(id, config->secrets, body, wall_ms())
                                                              : head_of_pusher_batch(*config, body);
                submit(endpoint_of(config), std::move(head), body, std::move(done),
                       [](Job& job) {
                         job.refusals = Refusals::None;
                         job.reader.expect_nothing();
                       });
              }) {}

CurlWebhooks::~CurlWebhooks() {
  while (!jobs_.empty()) cancel(jobs_.begin()->first);
  endpoints_.clear();
}

Webhooks::CallId CurlWebhooks::call(const Call& call, OnReply done) {
  Endpoint& endpoint = endpoint_of(call.endpoint);
  const auto name = [&](Job& job) {
    job.uid = call.subject.uid;
    job.refusals = call.refusals;
  };
  if (!call.endpoint->grip) return submit(endpoint, head_of_call(call, wall_ms()), call.body, std::move(done), name);
  const bool opening = call.type == "beamgate.connect";
  const auto expect_grip = [&](Job& job) {
    name(job);
    job.target = grip_target_of_call(call);
    job.reader.expect_grip(GripState::parse(call.subject.state), opening);
  };
  return submit(endpoint, grip_head_of_call(call, wall_ms()), grip_body_of_call(call), std::move(done), expect_grip);
}

Webhooks::CallId CurlWebhooks::submit(Endpoint& endpoint, RequestHead head, std::string_view body, OnReply done,
                                      const std::function<void(Job&)>& prepare) {
  const CallId id = next_id_++;
  auto& job = jobs_[id];
  job = std::make_unique<Job>(id, endpoint, endpoint.config().reply_bytes_max);
  job->head = std::move(head);
  job->body = body;
  job->done = std::move(done);
  if (prepare) prepare(*job);
  endpoint.submit(*job);
  if (job->stage == Job::Stage::Waiting) watch_expiry(*job);
  return id;
}

void CurlWebhooks::cancel(CallId id) {
  const std::unique_ptr<Job> job = take(id);
  if (job != nullptr) job->endpoint.withdraw(*job);
}

std::unique_ptr<Job> CurlWebhooks::take(CallId id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return nullptr;
  std::unique_ptr<Job> job = std::move(found->second);
  jobs_.erase(found);
  return job;
}

Endpoint& CurlWebhooks::endpoint_of(const std::shared_ptr<const config::Webhook>& config) {
  const auto found = endpoints_.find(config->name);
  if (found != endpoints_.end()) {
    found->second->configure(config);
    return *found->second;
  }
  auto& endpoint = endpoints_[config->name];
  endpoint = std::make_unique<Endpoint>(
      config, [this](const auto& settings) { return make_caller(settings); }, log_, metrics_,
      [this](Job& job) { settle(job); });
  long connections = 0;
  for (const auto& [name, each] : endpoints_) connections += each->config().concurrency;
  multi_.set_connections_max(connections);
  return *endpoint;
}

const Endpoint* CurlWebhooks::endpoint(std::string_view name) const {
  const auto found = endpoints_.find(name);
  return found == endpoints_.end() ? nullptr : found->second.get();
}

std::shared_ptr<Caller> CurlWebhooks::make_caller(const std::shared_ptr<const config::Webhook>& config) {
  if (config->fastcgi.empty()) return std::make_shared<CurlCaller>(config, multi_);
  return std::make_shared<FastcgiCaller>(config, loop_, log_,
                                         [this](Job& job, const Ending& ending) { on_end(job, ending); });
}

void CurlWebhooks::on_end(Job& ended, const Ending& ending) {
  const std::unique_ptr<Job> job = take(ended.id);
  const Reply reply = job->endpoint.complete(*job, ending);
  job->endpoint.start_waiting();
  job->done(reply);
}

// A refusal is told in the next turn: whoever calls is still busy with making the call.
void CurlWebhooks::settle(Job& job) {
  if (settled_.empty()) settled_timer_.start(0);
  settled_.push_back(job.id);
}

void CurlWebhooks::tell_settled() {
  const std::vector<CallId> settled = std::move(settled_);
  settled_.clear();
  for (const CallId id : settled) {
    const std::unique_ptr<Job> job = take(id);
    if (job == nullptr) continue;  // Cancelled.
    Reply reply;
    reply.outcome = job->settled;
    job->done(reply);
  }
}

void CurlWebhooks::watch_expiry(const Job& job) {
  if (!expiry_timer_.active()) expiry_timer_.start(job.deadline_ms - monotonic_ms());
}

void CurlWebhooks::expire() {
  const int64_t now = monotonic_ms();
  int64_t next = 0;
  for (const auto& [name, endpoint] : endpoints_) {
    const int64_t deadline = endpoint->expire(now);
    if (deadline != 0) next = next == 0 ? deadline : std::min(next, deadline);
  }
  if (next != 0) expiry_timer_.start(next - now);
}

std::unique_ptr<Webhooks> make_webhooks(uv::Loop& loop, log::Log& log, metrics::Page& metrics,
                                        record::Arena& arena) {
  return std::make_unique<CurlWebhooks>(loop, arena, log, metrics);
}

}  // namespace beamgate::hook
