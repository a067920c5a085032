#include "master/hub/presence_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/clock.h"

namespace beamgate::master {
namespace {

using namespace testing;

class PresenceTableTest : public Test {
 protected:
  PresenceTableTest() {
    table_.set_on_user_change([this](const PresenceTable::UserChange& change) {
      facts_.push_back((change.joined ? '+' : '-') + change.user);
    });
  }

  void enter(uint64_t uid, std::string_view user, uint16_t slot = 0, std::string_view info = "", bool quiet = false) {
    EXPECT_TRUE(table_.enter("room", {.uid = uid, .since_ms = 1, .protocol = 3, .user = user, .info = info}, slot, rules_,
                             quiet, now_ms_));
  }
  void leave(uint64_t uid, uint16_t slot = 0) { table_.leave("room", uid, slot, now_ms_); }

  // "+ada" and "-ada" for users, "+ada/1" and "-ada/1" for further connections, "=ada/1" for another info, "#3/4" for
  // users and connections that are only counted, "list" before everybody when they are listed again.
  std::vector<std::string> told() {
    std::vector<std::string> out;
    table_.take_changes(now_ms_, [&](const PresenceTable::Changes& changes) {
      if (!changes.listed) out.push_back('#' + std::to_string(changes.users) + '/' + std::to_string(changes.connections));
      if (changes.whole) out.push_back("list");
      for (const ipc::MemberChange& change : changes.changes) {
        const char sign = "+-="[static_cast<int>(change.event)];
        std::string text = sign + std::string(change.member.user);
        if (!change.whole_user) text += '/' + std::to_string(change.member.uid);
        out.push_back(text);
      }
    });
    return out;
  }
  std::vector<std::string> members() {
    std::vector<std::string> out;
    for (const ipc::Member& member : table_.list("room", 100)) {
      out.push_back(std::string(member.user) + '/' + std::to_string(member.uid));
    }
    return out;
  }

  PresenceTable::Rules rules_;
  int64_t now_ms_ = 1'000'000;
  PresenceTable table_;
  std::vector<std::string> facts_;
};

TEST_F(PresenceTableTest, AUserIsOneMemberHoweverManyConnectionsItHas) {
  enter(1, "ada");
  enter(2, "ada");
  enter(3, "bob");
  EXPECT_THAT(told(), ElementsAre("+ada", "+ada/2", "+bob"));
  EXPECT_EQ(table_.users("room"), 2u);
  EXPECT_EQ(table_.connections("room"), 3u);
  leave(1);
  EXPECT_THAT(told(), ElementsAre("-ada/1"));
  leave(2);
  EXPECT_THAT(told(), ElementsAre("-ada"));
  EXPECT_THAT(facts_, ElementsAre("+ada", "+bob", "-ada"));
  EXPECT_THAT(members(), ElementsAre("bob/3"));
}

TEST_F(PresenceTableTest, WhoIsBackInTimeWasNeverAway) {
  rules_.leave_delay_ms = 3'000;
  enter(1, "ada");
  told();
  leave(1);
  EXPECT_THAT(told(), ElementsAre()) << "nobody is told yet";
  EXPECT_THAT(members(), ElementsAre("ada/1"));
  now_ms_ += 2'999;
  table_.expire(now_ms_);
  enter(2, "ada");
  EXPECT_THAT(told(), ElementsAre("+ada/2", "-ada/1"));
  EXPECT_THAT(facts_, ElementsAre("+ada"));
  now_ms_ += 10'000;
  table_.expire(now_ms_);
  EXPECT_THAT(told(), ElementsAre());
  leave(2);
  EXPECT_EQ(table_.expire(now_ms_), now_ms_ + 3'000);
  now_ms_ += 3'000;
  EXPECT_EQ(table_.expire(now_ms_), 0);
  EXPECT_THAT(told(), ElementsAre("-ada"));
  EXPECT_THAT(facts_, ElementsAre("+ada", "-ada"));
}

TEST_F(PresenceTableTest, NotMoreAreWaitedForThanThereIsRoomFor) {
  rules_.leave_delay_ms = 3'600'000;
  const std::string info(ipc::kMemberInfoBytesMax, 'i');
  const uint64_t fit = PresenceTable::kLeavingBytesMax / (info.size() + 1'000);
  for (uint64_t uid = 1; uid <= fit; ++uid) {
    enter(uid, std::to_string(uid), 0, info);
    leave(uid);
    table_.expire(++now_ms_);
  }
  told();
  EXPECT_EQ(table_.users("room"), fit);
  for (uint64_t uid = fit + 1; uid <= fit + 1'000; ++uid) {
    enter(uid, std::to_string(uid), 0, info);
    leave(uid);
    table_.expire(++now_ms_);
  }
  EXPECT_LT(table_.users("room"), fit + 1'000);
  EXPECT_LE(table_.users("room") * info.size(), PresenceTable::kLeavingBytesMax);
  EXPECT_THAT(facts_, Contains("-1")) << "who would have left next";
  EXPECT_THAT(facts_, Not(Contains('-' + std::to_string(fit + 1'000))));
}

TEST_F(PresenceTableTest, WhoComesAndGoesIsWaitedForOnce) {
  rules_.leave_delay_ms = 1'000;
  for (uint64_t uid = 1; uid <= 5; ++uid) {
    enter(uid, "ada");
    leave(uid);
    ++now_ms_;
  }
  EXPECT_EQ(table_.expire(now_ms_), now_ms_ + 999) << "the last time alone counts";
  EXPECT_EQ(table_.expire(now_ms_ + 999), 0);
  EXPECT_THAT(facts_, ElementsAre("+ada", "-ada"));
}

TEST_F(PresenceTableTest, AMoveToAnotherWorkerIsNoNews) {
  enter(1, "ada", 0);
  told();
  enter(1, "ada", 1);
  leave(1, 0);  // What the source may still have said.
  EXPECT_THAT(told(), ElementsAre());
  table_.drop_slot(0, now_ms_);
  EXPECT_THAT(members(), ElementsAre("ada/1"));
  table_.drop_slot(1, now_ms_);
  EXPECT_THAT(told(), ElementsAre("-ada"));
}

TEST_F(PresenceTableTest, ASuccessorKeepsItsMembersAndTheOthersLeave) {
  enter(1, "ada", 0);
  enter(2, "bob", 0);
  enter(3, "eve", 1);
  told();
  table_.doubt_slot(0);
  enter(2, "bob", 0);
  table_.drop_unconfirmed(0, now_ms_);
  EXPECT_THAT(told(), ElementsAre("-ada"));
  EXPECT_THAT(members(), UnorderedElementsAre("bob/2", "eve/3"));
}

TEST_F(PresenceTableTest, AnotherInfoIsAnUpdate) {
  enter(1, "ada", 0, "1");
  told();
  enter(1, "ada", 0, "1");
  EXPECT_THAT(told(), ElementsAre());
  enter(1, "ada", 0, "2");
  EXPECT_THAT(told(), ElementsAre("=ada/1"));
}

TEST_F(PresenceTableTest, AboveTheLimitThereAreNumbersOnceASecond) {
  rules_.limit = 4;
  for (uint64_t uid = 1; uid <= 4; ++uid) enter(uid, std::to_string(uid));
  EXPECT_EQ(told().size(), 4u);
  enter(5, "5");
  EXPECT_THAT(told(), ElementsAre("#5/5"));
  for (uint64_t uid = 6; uid <= 100; ++uid) enter(uid, std::to_string(uid));
  EXPECT_THAT(told(), ElementsAre()) << "a second hasn't passed";
  now_ms_ += 1'000;
  EXPECT_THAT(told(), ElementsAre("#100/100"));
  EXPECT_THAT(told(), ElementsAre());
  EXPECT_FALSE(table_.listed("room"));
  for (uint64_t uid = 100; uid > 3; --uid) leave(uid);
  now_ms_ += 1'000;
  EXPECT_THAT(told(), ElementsAre("#3/3"));
  leave(3);
  EXPECT_TRUE(table_.listed("room")) << "half of the limit";
  enter(101, "101");
  EXPECT_THAT(told(), ElementsAre());
  now_ms_ += 1'000;
  EXPECT_THAT(told(), UnorderedElementsAre("list", "+1", "+2", "+101")) << "which has the changes since";
  leave(101);
  EXPECT_THAT(told(), ElementsAre("-101"));
}

TEST_F(PresenceTableTest, WhatIsAdoptedGoesOnAsItWas) {
  rules_.leave_delay_ms = 5'000;
  enter(1, "ada");
  enter(2, "bob");
  leave(2);
  PresenceTable heir;
  table_.for_each([&](const std::string& channel, const PresenceTable::Connection& connection,
                      const PresenceTable::Stay& stay) { heir.adopt(channel, connection, stay, rules_); });
  EXPECT_EQ(heir.users("room"), 2u);
  EXPECT_EQ(heir.connections("room"), 1u);
  EXPECT_EQ(heir.expire(now_ms_), now_ms_ + 5'000);
  heir.expire(now_ms_ + 5'000);
  EXPECT_EQ(heir.users("room"), 1u);
}

TEST_F(PresenceTableTest, WhatWasCountedIsStillCountedByAnHeir) {
  rules_.limit = 4;
  for (uint64_t uid = 1; uid <= 5; ++uid) enter(uid, std::to_string(uid));
  leave(5);
  PresenceTable heir;
  table_.for_each([&](const std::string& channel, const PresenceTable::Connection& connection,
                      const PresenceTable::Stay& stay) { heir.adopt(channel, connection, stay, rules_); });
  EXPECT_TRUE(heir.listed("room"));
  heir.adopt_counted("room");
  heir.adopt_counted("another");
  EXPECT_FALSE(heir.listed("room")) << "its members were not told who they are";
  EXPECT_FALSE(heir.whole("room").whole);
  EXPECT_EQ(heir.whole("room").users, 4u);
}

TEST_F(PresenceTableTest, AListThatIsTooLargeIsCounted) {
  rules_.limit = 2'000;
  for (uint64_t uid = 1; uid <= 2'001; ++uid) enter(uid, std::to_string(uid), 0, std::string(ipc::kMemberInfoBytesMax, 'x'));
  for (uint64_t uid = 2'001; uid > 1'000; --uid) leave(uid);
  EXPECT_THAT(told(), ElementsAre("#1000/1000")) << "they would be above kStateBytesMax";
  EXPECT_FALSE(table_.listed("room"));
  for (uint64_t uid = 1'000; uid > 1; --uid) leave(uid);
  now_ms_ += 1'000;
  EXPECT_THAT(told(), ElementsAre("list", "+1"));
}

TEST_F(PresenceTableTest, PresentIsInTheOrderOfChannels) {
  for (const char* channel : {"c", "a", "b", "other"}) {
    table_.enter(channel, {.uid = 1, .user = "ada"}, 0, rules_, true, now_ms_);
  }
  bool more = false;
  const auto first = table_.present("", "", 2, more);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_TRUE(more);
  EXPECT_EQ(first[1].channel, "b");
  const auto rest = table_.present("", "b", 2, more);
  EXPECT_EQ(rest[0].channel, "c");
  EXPECT_FALSE(more);
  EXPECT_EQ(table_.present("o", "a", 2, more)[0].channel, "other") << "of those that begin so";
  EXPECT_TRUE(table_.present("b", "b", 2, more).empty());
  EXPECT_FALSE(more);
}

// Pages of a table as large as it gets; a page that looked at all of it would take a hundred times as long.
TEST_F(PresenceTableTest, APageCostsWhatItYields) {
  constexpr int kUsers = 200'000, kPage = 100;
  for (int i = 0; i < kUsers; ++i) {
    table_.enter("#user-" + std::to_string(i), {.uid = 1, .user = "ada"}, 0, rules_, true, now_ms_);
  }
  const int64_t start_us = monotonic_us();
  std::string after = "#user-";
  int users = 0;
  for (bool more = true; more;) {
    const auto page = table_.present("#user-", after, kPage, more);
    users += static_cast<int>(page.size());
    after = page.back().channel;
  }
  EXPECT_EQ(users, kUsers);
  EXPECT_LT(monotonic_us() - start_us, 5'000'000) << "2,000 pages";
  for (int i = 0; i < kUsers; ++i) table_.leave("#user-" + std::to_string(i), 1, 0, now_ms_);
  bool more = false;
  EXPECT_TRUE(table_.present("", "", kPage, more).empty());
}

}  // namespace
}  // namespace beamgate::master
