#include "worker/hook/event_feed.h"

#include <algorithm>

#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "worker/hook/pusher_batch.h"
#include "worker/record/uid.h"

namespace beamgate::hook {

using metrics::Metric;

EventFeed::EventFeed(std::shared_ptr<const config::Webhook> config, const Parts& parts)
    : config_(std::move(config)), parts_(parts), timer_(parts_.loop, [this] { send(); }) {}

bool EventFeed::post(std::string_view json) {
  if (events_.size() >= config_->event_queue) return false;
  const record::Ref event = parts_.store.append(config_->name, json, monotonic_ms());
  if (event == record::kNull) return false;
  events_.push_back(event);
  gather();
  return true;
}

void EventFeed::adopt(record::Ref event) {
  events_.push_back(event);
  gather();
}

void EventFeed::hurry() {
  hurried_ = true;
  if (state_ == State::Gathering || state_ == State::Retrying) timer_.start(0);
}

void EventFeed::halt() {
  timer_.stop();
  set_state(State::Halted);
}

void EventFeed::gather() {
  if (state_ != State::Empty && state_ != State::Gathering) return;
  const bool sent_before = parts_.store.node(events_.front()).batch != 0;
  const bool ready = hurried_ || sent_before || events_.size() >= config_->batch_events_max;
  if (state_ == State::Empty || ready) timer_.start(ready ? 0 : config_->batch_delay_ms);
  set_state(State::Gathering);
}

void EventFeed::send() {
  if (batch_ == 0) mark_batch();
  set_state(State::Sending);
  if (attempts_++ > 0) parts_.metrics.add(Metric::WebhookRetries);
  parts_.send(config_, "bat_" + record::format_uid(batch_), body_of_batch(),
              [this](const Reply& reply) { on_reply(reply); });
}

// Events that another worker has sent together stay together, under the same id.
void EventFeed::mark_batch() {
  const auto batch_of = [this](size_t at) { return parts_.store.node(events_[at]).batch; };
  const uint64_t before = batch_of(0);
  const size_t most = before != 0 ? events_.size() : std::max<uint32_t>(config_->batch_events_max, 1);
  batch_events_ = 1;
  while (batch_events_ < std::min(most, events_.size()) && batch_of(batch_events_) == before) ++batch_events_;
  batch_ = before != 0 ? before : std::max<uint64_t>(crypto::random_u64(), 1);
  for (size_t at = 0; at < batch_events_; ++at) parts_.store.node(events_[at]).batch = batch_;
}

std::string EventFeed::body_of_batch() const {
  std::string events;
  for (size_t at = 0; at < batch_events_; ++at) {
    if (at > 0) events += ',';
    events += parts_.store.json_of(events_[at]);
  }
  if (!config_->pusher_key.empty()) return body_of_pusher_batch(events, wall_ms());
  return "[" + events + "]";
}

void EventFeed::on_reply(const Reply& reply) {
  if (state_ == State::Halted) return;
  if (reply.accepted()) return finish_batch(true);
  const int64_t age_ms = monotonic_ms() - parts_.store.node(events_.front()).created_ms;
  if (reply.status == 410 || age_ms >= config_->retry_time_ms) {
    parts_.log.error("webhook_events_dropped", {{"webhook", config_->name},
                                                {"events", batch_events_},
                                                {"status", reply.status},
                                                {"age_ms", age_ms}});
    return finish_batch(false);
  }
  retry(reply.retry_after_ms.value_or(0));
}

void EventFeed::retry(int64_t retry_after_ms) {
  set_state(State::Retrying);
  timer_.start(std::max(backoff_ms(), retry_after_ms));
}

int64_t EventFeed::backoff_ms() const {
  const uint32_t doublings = std::min<uint32_t>(attempts_ - 1, 30);
  const int64_t full = std::clamp<int64_t>(config_->retry_delay_ms << doublings, 1, config_->retry_delay_max_ms);
  // Half of it is chance, so that workers that failed together don't return together.
  return full / 2 + static_cast<int64_t>(crypto::random_u64() % static_cast<uint64_t>(full / 2 + 1));
}

void EventFeed::finish_batch(bool delivered) {
  for (size_t at = 0; at < batch_events_; ++at) {
    parts_.store.remove(events_.front());
    events_.pop_front();
  }
  if (!delivered) parts_.metrics.add(Metric::WebhookEventsGivenUp, batch_events_);
  batch_ = 0;
  batch_events_ = 0;
  attempts_ = 0;
  set_state(State::Empty);
  if (!events_.empty()) gather();
  parts_.on_change();
}

}  // namespace beamgate::hook
