// Events: gathered into batches, sent in order, again under the same id until they are taken, within bounds -
// and not lost with the worker, whose successor finds them in the arena.
#include "worker/hook/event_queue.h"

#include <gtest/gtest.h>

#include "common/base/clock.h"
#include "common/json/value.h"

namespace beamgate::hook {
namespace {

using metrics::Metric;

class EventQueueTest : public testing::Test {
 protected:
  struct Batch {
    std::string id;
    std::vector<uint64_t> sequences;
    Webhooks::OnReply done;
  };

  EventQueueTest() : arena_(std::move(record::Arena::map(UniqueFd(), 4)).value()), guard_(loop_, [] { FAIL() << "stuck"; }) {
    config_->name = "app";
    config_->batch_delay_ms = 5;
    config_->retry_delay_ms = 2;
    make_queue();
  }

  void make_queue() { queue_ = make_queue(arena_); }
  std::unique_ptr<EventQueue> make_queue(record::Arena& arena) {
    return std::make_unique<EventQueue>(loop_, arena, log_, page_,
                                          [this](const auto&, std::string_view id, std::string body, auto done) {
                                            Batch batch{std::string(id), {}, std::move(done)};
                                            const auto parsed = json::parse(body);
                                            for (const json::Value& event : *parsed.value().as_array()) {
                                              batch.sequences.push_back(*event.get_uint("beamgatesequence"));
                                            }
                                            batches_.push_back(std::move(batch));
                                          });
  }

  bool post(uint32_t sequence) { return post(sequence, *queue_); }
  bool post(uint32_t sequence, EventQueue& queue) {
    Event event;
    event.endpoint = config_;
    event.type = "beamgate.connected";
    event.sequence = sequence;
    return queue.post(event);
  }

  template <typename Condition>
  void run_until(Condition&& condition) {
    guard_.start(10'000);
    look_.start_repeating(1);
    while (!condition() && guard_.active()) loop_.run_once(true);
    look_.stop();
    guard_.stop();
  }
  // Waits for the batch of this number.
  const Batch& next_batch(size_t number) {
    run_until([&] { return batches_.size() > number; });
    EXPECT_EQ(batches_.size(), number + 1);
    return batches_[number];
  }
  void answer(size_t number, uint16_t status, int64_t retry_after_ms = 0) {
    Reply reply;
    reply.outcome = status == 0 ? Outcome::Unreachable : Outcome::Answered;
    reply.status = status;
    reply.retry_after_ms = retry_after_ms;
    const auto done = batches_[number].done;
    done(reply);
  }

  uv::Loop loop_;
  record::Arena arena_;
  log::Log log_{"test"};
  metrics::Page page_{};
  std::shared_ptr<config::Webhook> config_ = std::make_shared<config::Webhook>();
  std::vector<Batch> batches_;
  std::unique_ptr<EventQueue> queue_;
  uv::Timer guard_;
  uv::Timer look_{loop_, [] {}};
};

using Sequences = std::vector<uint64_t>;

TEST_F(EventQueueTest, WhatComesWithinTheDelayIsOneBatch) {
  post(1);
  post(2);
  EXPECT_TRUE(batches_.empty());
  EXPECT_EQ(next_batch(0).sequences, (Sequences{1, 2}));
  answer(0, 200);
  EXPECT_EQ(queue_->size(), 0u);
  EXPECT_EQ(arena_.root(record::Arena::Root::EventsHead), record::kNull);
  EXPECT_EQ(arena_.root(record::Arena::Root::EventsTail), record::kNull);
}

TEST_F(EventQueueTest, AFullBatchDoesNotWaitAndOnlyOneIsOnItsWay) {
  config_->batch_delay_ms = 60'000;
  config_->batch_events_max = 2;
  for (uint32_t i = 1; i <= 5; ++i) post(i);
  EXPECT_EQ(next_batch(0).sequences, (Sequences{1, 2}));
  loop_.run_once(false);
  EXPECT_EQ(batches_.size(), 1u);
  answer(0, 204);
  EXPECT_EQ(next_batch(1).sequences, (Sequences{3, 4}));
  EXPECT_NE(batches_[0].id, batches_[1].id);
}

TEST_F(EventQueueTest, WhatFailsIsSentAgainUnderTheSameId) {
  post(1);
  const std::string id = next_batch(0).id;
  post(2);  // Joins no batch that has been sent.
  for (size_t attempt = 0; attempt < 3; ++attempt) {
    answer(attempt, attempt == 0 ? 0 : 500);
    EXPECT_EQ(next_batch(attempt + 1).id, id);
    EXPECT_EQ(batches_[attempt + 1].sequences, Sequences{1});
  }
  EXPECT_EQ(page_.get(Metric::WebhookRetries), 3u);
  answer(3, 200);
  EXPECT_EQ(next_batch(4).sequences, Sequences{2});
}

TEST_F(EventQueueTest, RetryAfterIsHonoured) {
  post(1);
  next_batch(0);
  const int64_t begun = monotonic_ms();
  answer(0, 503, 100);
  next_batch(1);
  EXPECT_GE(monotonic_ms() - begun, 99);
}

TEST_F(EventQueueTest, TooOldOrNotWantedIsDroppedAndCounted) {
  post(1);
  next_batch(0);
  answer(0, 410);
  EXPECT_EQ(queue_->size(), 0u);
  EXPECT_EQ(page_.get(Metric::WebhookEventsGivenUp), 1u);
  config_->retry_time_ms = 0;
  post(2);
  next_batch(1);
  answer(1, 500);
  EXPECT_EQ(queue_->size(), 0u);
  EXPECT_EQ(page_.get(Metric::WebhookEventsGivenUp), 2u);
}

TEST_F(EventQueueTest, AFullQueueDropsTheNewest) {
  config_->event_queue = 2;
  EXPECT_TRUE(post(1));
  EXPECT_TRUE(post(2));
  EXPECT_FALSE(post(3));
  EXPECT_EQ(page_.get(Metric::WebhookEventsDropped), 1u);
  EXPECT_EQ(next_batch(0).sequences, (Sequences{1, 2}));
}

TEST_F(EventQueueTest, ASuccessorSendsWhatWasLeftUnderTheSameId) {
  config_->batch_events_max = 2;
  for (uint32_t i = 1; i <= 3; ++i) post(i);
  const std::string id = next_batch(0).id;
  queue_.reset();
  make_queue();
  queue_->adopt([&](std::string_view name) { return name == "app" ? config_ : nullptr; });
  EXPECT_EQ(queue_->size(), 3u);
  EXPECT_EQ(next_batch(1).id, id);
  EXPECT_EQ(batches_[1].sequences, (Sequences{1, 2}));
  answer(1, 200);
  EXPECT_EQ(next_batch(2).sequences, Sequences{3});
}

TEST_F(EventQueueTest, ASuccessorDropsWhatNobodyWantsAnyMore) {
  post(1);
  queue_.reset();
  make_queue();
  queue_->adopt([](std::string_view) { return nullptr; });
  EXPECT_EQ(queue_->size(), 0u);
  EXPECT_EQ(arena_.root(record::Arena::Root::EventsHead), record::kNull);
  EXPECT_EQ(page_.get(Metric::WebhookEventsOrphaned), 1u);
}

TEST_F(EventQueueTest, AnotherWorkerSendsWhatOneThatGoesHasLeft) {
  record::Arena other_arena = std::move(record::Arena::map(UniqueFd(), 4)).value();
  const auto other = make_queue(other_arena);
  const auto find = [&](std::string_view name) { return name == "app" ? config_ : nullptr; };
  config_->batch_events_max = 2;
  for (uint32_t i = 1; i <= 3; ++i) post(i);
  const std::string id = next_batch(0).id;

  size_t events = 0;
  const std::string body = queue_->leave(events);
  EXPECT_EQ(events, 3u);
  answer(0, 200);  // Too late: the other one asks again under the same id, by which the application knows it.
  ASSERT_TRUE(other->take(body, find));
  queue_->forget(events);
  EXPECT_EQ(arena_.root(record::Arena::Root::EventsHead), record::kNull);
  EXPECT_TRUE(queue_->leave(events).size() < 8 && events == 0);

  EXPECT_EQ(next_batch(1).id, id);
  EXPECT_EQ(batches_[1].sequences, (Sequences{1, 2}));
  answer(1, 200);
  EXPECT_EQ(next_batch(2).sequences, Sequences{3});
  EXPECT_FALSE(other->take(body.substr(1), find));
}

TEST_F(EventQueueTest, WhatIsLeftGoesBehindWhatIsOnItsWayAndNotAboveTheLimit) {
  record::Arena other_arena = std::move(record::Arena::map(UniqueFd(), 4)).value();
  const auto other = make_queue(other_arena);
  config_->event_queue = 3;
  post(1);
  const std::string id = next_batch(0).id;
  post(2);
  post(7, *other);
  const std::string own = next_batch(1).id;
  post(8, *other);
  size_t events = 0;
  const std::string body = queue_->leave(events);
  ASSERT_TRUE(other->take(body, [&](std::string_view) { return config_; }));
  EXPECT_EQ(page_.get(Metric::WebhookEventsDropped), 1u);
  ASSERT_TRUE(other->take(body, [](std::string_view) { return nullptr; }));
  EXPECT_EQ(page_.get(Metric::WebhookEventsOrphaned), 2u) << "nobody knows their webhook";
  answer(1, 500);
  EXPECT_EQ(next_batch(2).id, own);
  answer(2, 200);
  EXPECT_EQ(next_batch(3).sequences, Sequences{8});
  answer(3, 200);
  EXPECT_EQ(next_batch(4).id, id);
  EXPECT_EQ(batches_[4].sequences, Sequences{1});
}

TEST_F(EventQueueTest, ADrainEndsWhenEmptyOrInTime) {
  config_->batch_delay_ms = 60'000;
  int drained = 0;
  post(1);
  queue_->drain(monotonic_ms() + 60'000, [&] { ++drained; });
  EXPECT_EQ(drained, 0);
  next_batch(0);
  answer(0, 200);
  run_until([&] { return drained == 1; });
  post(2);
  next_batch(1);
  queue_->drain(monotonic_ms() + 20, [&] { ++drained; });
  run_until([&] { return drained == 2; });
  EXPECT_EQ(drained, 2);
  EXPECT_EQ(queue_->size(), 1u);
}

}  // namespace
}  // namespace beamgate::hook
