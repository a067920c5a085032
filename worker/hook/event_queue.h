// Event queue: the feeds of all applications, what a predecessor of this worker left in the arena, and what another
// one that leaves gives to this one.
//
// Owner      CurlWebhooks.
// Thread     Worker loop thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/uv/loop.h"
#include "worker/hook/event_feed.h"
#include "worker/hook/event_store.h"

namespace beamgate::hook {

class EventQueue {
 public:
  EventQueue(uv::Loop& loop, record::Arena& arena, log::Log& log, metrics::Page& metrics, SendBatch send);

  // Takes over the events in the arena; those whose endpoint is not known any more are dropped and counted.
  void adopt(const Webhooks::FindWebhook& find);

  bool post(const Event& event);  // False: dropped and counted.

  // See Webhooks.
  std::string leave(size_t& events);
  void forget(size_t events);
  bool take(std::string_view body, const Webhooks::FindWebhook& find);

  // Sends without batch_delay from now on; done runs, once and later, when nothing is left or at_ms
  // (monotonic) has come.
  void drain(int64_t at_ms, std::function<void()> done);

  size_t size() const;  // Of what has not been left.

 private:
  EventFeed& feed_of(const std::shared_ptr<const config::Webhook>& endpoint);
  void on_change();
  void end_drain();

  uv::Loop& loop_;
  EventStore store_;
  log::Log& log_;
  metrics::Page& metrics_;
  SendBatch send_;
  std::map<std::string, std::unique_ptr<EventFeed>, std::less<>> feeds_;
  uv::Timer drain_timer_;
  std::function<void()> drained_;
  bool draining_ = false;
};

}  // namespace beamgate::hook
