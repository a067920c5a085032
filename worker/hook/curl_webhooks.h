// CurlWebhooks: the Webhooks of a worker, over libcurl, or FastCGI where a webhook says so.
//
// See webhooks.h for the contract; the parts: Endpoint (queue, concurrency, breaker), CurlCaller and CurlMulti (HTTP
// on the loop), FastcgiCaller, EventQueue (batched events), CloudEvent (what goes out), ReplyReader and Actions (what
// comes back).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/uv/timer.h"
#include "worker/hook/curl_multi.h"
#include "worker/hook/endpoint.h"
#include "worker/hook/event_queue.h"
#include "worker/hook/job.h"
#include "worker/hook/webhooks.h"

namespace beamgate::hook {

class CurlWebhooks final : public Webhooks {
 public:
  CurlWebhooks(uv::Loop& loop, record::Arena& arena, log::Log& log, metrics::Page& metrics);
  ~CurlWebhooks() override;  // Calls under way are cut; nobody is told.

  CallId call(const Call& call, OnReply done) override;
  void cancel(CallId id) override;
  bool post(const Event& event) override { return events_.post(event); }
  void adopt_events(const FindWebhook& find) override { events_.adopt(find); }
  std::string leave_events(size_t& events) override { return events_.leave(events); }
  void forget_events(size_t events) override { events_.forget(events); }
  bool take_events(std::string_view body, const FindWebhook& find) override { return events_.take(body, find); }
  void drain(int64_t at_ms, std::function<void()> done) override { events_.drain(at_ms, std::move(done)); }

  // For tests and status pages.
  const Endpoint* endpoint(std::string_view name) const;
  size_t connections() const { return multi_.connections(); }
  size_t events_waiting() const { return events_.size(); }

 private:
  Endpoint& endpoint_of(const std::shared_ptr<const config::Webhook>& config);
  CallId submit(Endpoint& endpoint, RequestHead head, std::string_view body, OnReply done,
                const std::function<void(Job&)>& prepare = {});
  std::unique_ptr<Job> take(CallId id);
  std::shared_ptr<Caller> make_caller(const std::shared_ptr<const config::Webhook>& config);
  void on_end(Job& ended, const Ending& ending);
  void settle(Job& job);
  void tell_settled();
  void expire();
  void watch_expiry(const Job& job);

  uv::Loop& loop_;
  log::Log& log_;
  metrics::Page& metrics_;
  CurlMulti multi_;
  std::map<std::string, std::unique_ptr<Endpoint>, std::less<>> endpoints_;
  std::unordered_map<CallId, std::unique_ptr<Job>> jobs_;
  CallId next_id_ = 1;
  std::vector<CallId> settled_;
  uv::Timer settled_timer_;
  uv::Timer expiry_timer_;
  EventQueue events_;
};

}  // namespace beamgate::hook
