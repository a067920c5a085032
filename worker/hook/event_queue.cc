#include "worker/hook/event_queue.h"

#include <vector>

#include "common/base/clock.h"
#include "common/ipc/wire.h"
#include "worker/hook/cloud_event.h"
#include "worker/record/uid.h"

namespace beamgate::hook {

using metrics::Metric;
using record::kNull;
using record::Ref;

namespace {

constexpr size_t kLeaveBytesMax = 1 << 20;  // In one body, but for its last event.

// An event on its way to another worker, whose clock is the same.
struct Left {
  static constexpr size_t kBytesMin = 4 + 4 + 8 + 8;
  std::string_view endpoint;
  std::string_view json;
  int64_t created_ms = 0;
  uint64_t batch = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.endpoint), v(m.json), v(m.created_ms), v(m.batch); }
};

struct Legacy {
  std::vector<Left> events;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.events); }
};

}  // namespace

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
  metrics_.add(Metric::WebhookEventsOrphaned, dropped);
  log_.warn("webhook_events_dropped", {{"events", dropped}, {"reason", "their webhook is not configured any more"}});
}

bool EventQueue::post(const Event& event) {
  EventFeed& feed = feed_of(event.endpoint);
  const bool as_it_is = !event.endpoint->pusher_key.empty();
  if (feed.post(as_it_is ? std::string(event.data) : json_of_event(event, wall_ms()))) return true;
  metrics_.add(Metric::WebhookEventsDropped);
  log_.warn("webhook_event_dropped", {{"connection", record::format_uid_or_none(event.subject.uid)},
                                      {"webhook", event.endpoint->name}, {"type", event.type}});
  return false;
}

std::string EventQueue::leave(size_t& events) {
  for (auto& [name, feed] : feeds_) feed->halt();
  Legacy legacy;
  size_t bytes = 0;
  for (Ref event = store_.first(); event != kNull && bytes < kLeaveBytesMax; event = store_.next(event)) {
    const auto& node = store_.node(event);
    legacy.events.push_back({store_.endpoint_of(event), store_.json_of(event), node.created_ms, node.batch});
    bytes += legacy.events.back().json.size();
  }
  events = legacy.events.size();
  return ipc::encode(legacy);
}

void EventQueue::forget(size_t events) {
  for (; events > 0 && store_.first() != kNull; --events) store_.remove(store_.first());
}

bool EventQueue::take(std::string_view body, const Webhooks::FindWebhook& find) {
  Legacy legacy;
  if (!ipc::decode(body, legacy)) return false;
  uint64_t dropped = 0;
  uint64_t orphaned = 0;
  for (const Left& left : legacy.events) {
    const auto endpoint = find(left.endpoint);
    if (endpoint == nullptr) {
      ++orphaned;
      continue;
    }
    const bool room = feed_of(endpoint).size() < endpoint->event_queue;
    const Ref event = room ? store_.append(left.endpoint, left.json, left.created_ms) : kNull;
    if (event == kNull) {
      ++dropped;
      continue;
    }
    store_.node(event).batch = left.batch;
    feed_of(endpoint).adopt(event);
  }
  metrics_.add(Metric::WebhookEventsDropped, dropped);
  metrics_.add(Metric::WebhookEventsOrphaned, orphaned);
  if (dropped + orphaned > 0) {
    log_.warn("webhook_events_dropped",
              {{"events", dropped + orphaned},
               {"reason", "left by another worker: no room, or their webhook is not configured"}});
  }
  return true;
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
