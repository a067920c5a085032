// The hub's tables: offsets without gaps, epochs that tell lives of a channel apart, and limits that hold.
#include <gtest/gtest.h>

#include "master/bus/call_table.h"
#include "master/hub/channel_table.h"
#include "master/hub/idempotency_table.h"

namespace beamgate::master {
namespace {

TEST(SlotSet, HoldsEverySlot) {
  SlotSet set;
  EXPECT_TRUE(set.empty());
  std::vector<uint16_t> seen;
  for (const int slot : {0, 63, 64, 255}) set.add(static_cast<uint16_t>(slot));
  set.for_each([&](uint16_t slot) { seen.push_back(slot); });
  EXPECT_EQ(seen, (std::vector<uint16_t>{0, 63, 64, 255}));
  set.remove(63);
  EXPECT_FALSE(set.contains(63));
  EXPECT_EQ(set.size(), 3u);
}

TEST(ChannelTable, NumbersPublicationsWithoutGaps) {
  ChannelTable table;
  const std::string epoch = table.add_interest("room", 1).epoch;
  EXPECT_EQ(epoch.size(), ChannelTable::kEpochBytes);
  for (uint64_t offset = 1; offset <= 5; ++offset) EXPECT_EQ(table.sequence("room", 0).offset, offset);
  EXPECT_EQ(table.sequence("other", 0).offset, 1u);
  EXPECT_EQ(table.find("room")->epoch, epoch);
  EXPECT_NE(table.find("other")->epoch, epoch);
  EXPECT_EQ(table.find("none"), nullptr);
}

TEST(ChannelTable, AnEmptyRoomContinuesWithinItsTimeAndNotAfter) {
  ChannelTable table;
  const std::string epoch = table.add_interest("room", 1).epoch;
  table.sequence("room", 0);
  table.remove_interest("room", 1, 1'000);
  EXPECT_EQ(table.idle(), 1u);
  table.expire(1'000 + ChannelTable::kIdleMs - 1);
  EXPECT_EQ(table.add_interest("room", 2).epoch, epoch);
  EXPECT_EQ(table.find("room")->offset, 1u);
  EXPECT_EQ(table.idle(), 0u);
  table.remove_interest("room", 2, 2'000);
  table.expire(2'000 + ChannelTable::kIdleMs);
  EXPECT_EQ(table.find("room"), nullptr);
  const HubChannel& again = table.add_interest("room", 1);
  EXPECT_NE(again.epoch, epoch);
  EXPECT_EQ(again.offset, 0u);
}

TEST(ChannelTable, ADeadSlotLosesItsInterestOnly) {
  ChannelTable table;
  table.add_interest("both", 1);
  table.add_interest("both", 2);
  table.add_interest("one", 1);
  table.drop_slot(1, 0);
  EXPECT_FALSE(table.find("both")->interested.contains(1));
  EXPECT_TRUE(table.find("both")->interested.contains(2));
  EXPECT_EQ(table.idle(), 1u);
  table.drop_slot(1, 0);  // Again: nothing left to drop.
  EXPECT_EQ(table.idle(), 1u);
}

TEST(ChannelTable, ForgetsTheLongestIdleWhenThereAreTooMany) {
  ChannelTable table;
  table.add_interest("busy", 1);
  for (size_t i = 0; i <= ChannelTable::kIdleMax; ++i) table.sequence("c" + std::to_string(i), 0);
  EXPECT_EQ(table.idle(), ChannelTable::kIdleMax);
  EXPECT_EQ(table.find("c0"), nullptr);
  EXPECT_NE(table.find("c1"), nullptr);
  table.sequence("c1", 0);  // Used: now c2 is the oldest.
  table.sequence("another", 0);
  EXPECT_NE(table.find("c1"), nullptr);
  EXPECT_EQ(table.find("c2"), nullptr);
  EXPECT_NE(table.find("busy"), nullptr);
}

TEST(ChannelTable, RepeatedInterestAndForeignWithdrawalChangeNothing) {
  ChannelTable table;
  table.add_interest("room", 1);
  table.add_interest("room", 1);
  table.remove_interest("room", 2, 0);
  table.remove_interest("none", 2, 0);
  EXPECT_TRUE(table.find("room")->interested.contains(1));
  EXPECT_EQ(table.idle(), 0u);
}

TEST(IdempotencyTable, KnowsAKeyOfItsChannelForItsTime) {
  IdempotencyTable table;
  EXPECT_EQ(table.find("room", "k", 0), nullptr);
  table.remember("room", "k", {7, "epoch"}, 0);
  ASSERT_NE(table.find("room", "k", IdempotencyTable::kKeepMs - 1), nullptr);
  EXPECT_EQ(table.find("room", "k", 1)->offset, 7u);
  EXPECT_EQ(table.find("roo", "mk", 1), nullptr);
  EXPECT_EQ(table.find("other", "k", 1), nullptr);
  EXPECT_EQ(table.find("room", "k", IdempotencyTable::kKeepMs), nullptr);
  EXPECT_EQ(table.size(), 0u);
}

TEST(IdempotencyTable, IsBounded) {
  IdempotencyTable table;
  for (size_t i = 0; i < IdempotencyTable::kEntriesMax + 10; ++i) {
    table.remember("room", std::to_string(i), {i, "e"}, 0);
  }
  EXPECT_EQ(table.size(), IdempotencyTable::kEntriesMax);
  EXPECT_EQ(table.find("room", "9", 0), nullptr);
  EXPECT_NE(table.find("room", "10", 0), nullptr);
}

SlotSet slots(std::initializer_list<uint16_t> members) {
  SlotSet set;
  for (const uint16_t slot : members) set.add(slot);
  return set;
}

TEST(CallTable, CountsDownToTheLastAnswer) {
  CallTable table;
  const uint64_t call = table.open(1, 55, slots({1, 2, 3}), 0).value();
  CallTable::Due due;
  ASSERT_TRUE(table.answer(call, 3, due));
  EXPECT_EQ(due.asker, 1);
  EXPECT_EQ(due.ticket, 55u);
  EXPECT_EQ(due.remaining, 2);
  EXPECT_FALSE(table.answer(call, 3, due)) << "answers twice";
  EXPECT_FALSE(table.answer(call, 9, due)) << "was not asked";
  EXPECT_FALSE(table.answer(call + 1, 2, due)) << "no such call";
  ASSERT_TRUE(table.answer(call, 1, due));
  ASSERT_TRUE(table.answer(call, 2, due));
  EXPECT_EQ(due.remaining, 0);
  EXPECT_EQ(table.size(), 0u);
}

TEST(CallTable, TheDeadDoNotAnswerAndAreNotAnswered) {
  CallTable table;
  ASSERT_TRUE(table.open(1, 10, slots({2, 3}), 0).ok());
  ASSERT_TRUE(table.open(2, 20, slots({1}), 0).ok());
  std::vector<std::pair<uint64_t, uint16_t>> unanswered;
  table.drop_slot(2, [&](const CallTable::Due& due, uint16_t from) {
    EXPECT_EQ(from, 2);
    unanswered.emplace_back(due.ticket, due.remaining);
  });
  EXPECT_EQ(unanswered, (std::vector<std::pair<uint64_t, uint16_t>>{{10, 1}}));
  EXPECT_EQ(table.size(), 1u);
}

TEST(CallTable, OldCallsEndUnanswered) {
  CallTable table;
  ASSERT_TRUE(table.open(1, 10, slots({2, 3}), 0).ok());
  ASSERT_TRUE(table.open(1, 11, slots({2}), 1).ok());
  std::vector<uint16_t> remaining;
  table.expire(CallTable::kExpireMs, [&](const CallTable::Due& due, uint16_t) { remaining.push_back(due.remaining); });
  EXPECT_EQ(remaining, (std::vector<uint16_t>{1, 0}));
  EXPECT_EQ(table.size(), 1u);
}

TEST(CallTable, IsBounded) {
  CallTable table;
  for (size_t i = 0; i < CallTable::kCallsMax; ++i) ASSERT_TRUE(table.open(1, i + 1, slots({2}), 0).ok());
  EXPECT_FALSE(table.open(1, 1, slots({2}), 0).ok());
}

}  // namespace
}  // namespace beamgate::master
