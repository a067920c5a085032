// Hook queue: a connection's waiting messages in the arena: first in, first out, and nothing left behind.
#include "worker/proto/hook_queue.h"

#include <gtest/gtest.h>

#include "worker/proto/connection_ops.h"
#include "worker/proto/connection_events.h"

namespace beamgate::proto {
namespace {

TEST(HookQueue, FirstInFirstOutAndNothingLeft) {
  record::Arena arena(std::move(record::Arena::map(UniqueFd(), 4)).value());
  record::Record& record = arena.records()[0];
  HookQueue queue(arena);
  const uint64_t before = arena.bytes_live();
  for (int round = 0; round < 3; ++round) {
    for (uint32_t i = 1; i <= 100; ++i) {
      ASSERT_TRUE(queue.push(record, i % 2 == 0, i, std::string(i == 7 ? 0 : i * 100, static_cast<char>('a' + i % 26))));
    }
    for (uint32_t i = 1; i <= 60; ++i) {
      const HookQueue::Message message = queue.front(record);
      EXPECT_EQ(message.sequence, i);
      EXPECT_EQ(message.binary, i % 2 == 0);
      EXPECT_EQ(message.bytes, std::string(i == 7 ? 0 : i * 100, static_cast<char>('a' + i % 26)));
      queue.pop(record);
    }
    EXPECT_EQ(record.hook_messages, 40u);
    queue.clear(record);
    EXPECT_EQ(record.hook_messages, 0u);
    EXPECT_EQ(record.hook_head, record::kNull);
    EXPECT_EQ(record.hook_tail, record::kNull);
    EXPECT_EQ(arena.bytes_live(), before);
  }
}

TEST(HookQueue, OfTheFirstOneAPartMayBeTaken) {
  record::Arena arena(std::move(record::Arena::map(UniqueFd(), 4)).value());
  record::Record& record = arena.records()[0];
  HookQueue queue(arena);
  const uint64_t before = arena.bytes_live();
  for (const bool alone : {true, false}) {
    ASSERT_TRUE(queue.push(record, true, 3, "one;two"));
    if (!alone) {
      ASSERT_TRUE(queue.push(record, false, 4, "last"));
    }
    ASSERT_TRUE(queue.cut_front(record, 4));
    EXPECT_EQ(queue.front(record).bytes, "two");
    EXPECT_EQ(queue.front(record).sequence, 3u);
    EXPECT_TRUE(queue.front(record).binary);
    ASSERT_TRUE(queue.push(record, false, 5, "behind"));
    const auto all = queue.all(record);
    ASSERT_EQ(all.size(), alone ? 2u : 3u);
    EXPECT_EQ(all.back().bytes, "behind");
    queue.clear(record);
    EXPECT_EQ(arena.bytes_live(), before);
  }
}

TEST(CloseCodes, OnlyThoseThatMayBeSent) {
  for (const uint64_t code : {1000, 1001, 1003, 1007, 1008, 1011, 1014, 3000, 4001, 4999}) {
    EXPECT_TRUE(ConnectionOps::valid_close_code(code)) << code;
  }
  for (const uint64_t code : {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 70000}) {
    EXPECT_FALSE(ConnectionOps::valid_close_code(code)) << code;
  }
}

TEST(Reasons, SayWhoEndedTheConnection) {
  EXPECT_EQ(reason_of({ws::kCloseAbnormal, true}), "lost");
  EXPECT_EQ(reason_of({ws::kCloseNormal, true}), "client");
  EXPECT_EQ(reason_of({ws::kCloseGoingAway, true}), "client");
  EXPECT_EQ(reason_of({ws::kCloseGoingAway, false}), "shutdown");
  EXPECT_EQ(reason_of({ws::kCloseGoingAway, false, true}), "idle");
  EXPECT_EQ(reason_of({ws::kCloseMessageTooBig, false}), "too_big");
  EXPECT_EQ(reason_of({4001, false}), "application");
}

}  // namespace
}  // namespace beamgate::proto
