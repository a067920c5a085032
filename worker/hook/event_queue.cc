#include "worker/hook/event_queue.h"

#include "common/base/clock.h"
#include "worker/hook/cloud_event.h"

namespace beamgate::hook {

using metrics::Metric;
using record::kNull;
using record::Ref;

EventQueue::EventQueue(uv::Loop& loop, record::Arena& arena, log::Log& log, metrics::Page& metrics, SendBatch send)
    : loop_(loop),
      store_(arena),
      log_(log),
      metrics_(metrics),
      send_(std::move(send)),
      drain_timer_(loop, [this] { end_drain(); }) {}

void EventQueue::adopt(const Webhooks::FindWebhook& find) {
  uint64_t dropped = 0;
  for (Ref event = store_.first(); event != kNull;) {
    const Ref next = store_.next(event);
    if (const auto endpoint = find(store_.endpoint_of(event))) {
      feed_of(endpoint).adopt(event);
    } else {
      store_.remove(event);
      ++dropped;
    }
    event = next;
  }
  if (dropped == 0) return;
  metrics_.add(Metric::WebhookEventsDropped, dropped);
  log_.warn("webhook_events_dropped", {{"events", dropped}, {"reason", "their webhook is not configured any more"}});
}

bool EventQueue::post(const Event& event) {
  EventFeed& feed = feed_of(event.endpoint);
  if (feed.post(json_of_event(event, wall_ms()))) return true;
  metrics_.add(Metric::WebhookEventsDropped);
  log_.warn("webhook_event_dropped", {{"webhook", event.endpoint->name}, {"type", event.type}});
  return false;
}

EventFeed& EventQueue::feed_of(const std::shared_ptr<const config::Webhook>& endpoint) {
  const auto found = feeds_.find(endpoint->name);
  if (found != feeds_.end()) {
    found->second->configure(endpoint);
    return *found->second;
  }
  const EventFeed::Parts parts{loop_, store_, log_, metrics_, send_, [this] { on_change(); }};
  auto& feed = feeds_[endpoint->name];
  feed = std::make_unique<EventFeed>(endpoint, parts);
  if (draining_) feed->hurry();
  return *feed;
}

void EventQueue::drain(int64_t at_ms, std::function<void()> done) {
  draining_ = true;
  drained_ = std::move(done);
  for (auto& [name, feed] : feeds_) feed->hurry();
  drain_timer_.start(size() == 0 ? 0 : at_ms - monotonic_ms());
}

void EventQueue::on_change() {
  if (drained_ && size() == 0) drain_timer_.start(0);
}

void EventQueue::end_drain() {
  if (!drained_) return;
  const auto done = std::exchange(drained_, nullptr);
  done();
}

size_t EventQueue::size() const {
  size_t events = 0;
  for (const auto& [name, feed] : feeds_) events += feed->size();
  return events;
}

}  // namespace beamgate::hook
