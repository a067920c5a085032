// Connections on their way: who may move when, what is done when somebody dies, how loads become even, the replacement
// of a worker with each of its failures, and that of one without keepers.  Workers are states and counts here.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <map>
#include <set>

#include "common/base/clock.h"
#include "master/balance.h"
#include "master/moves.h"
#include "master/repair.h"
#include "master/resize.h"
#include "master/takeover.h"

namespace beamgate::master {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Balance, IsWithinTenPercentOrOneConnection) {
  EXPECT_TRUE(balanced({}));
  EXPECT_TRUE(balanced({{0, 7}}));
  EXPECT_TRUE(balanced({{0, 0}, {1, 0}}));
  EXPECT_TRUE(balanced({{0, 1}, {1, 0}}));
  EXPECT_FALSE(balanced({{0, 2}, {1, 0}}));
  EXPECT_TRUE(balanced({{0, 110}, {1, 90}}));
  EXPECT_FALSE(balanced({{0, 112}, {1, 88}}));
  EXPECT_FALSE(balanced({{0, 100}, {1, 100}, {2, 0}}));
}

TEST(Balance, PlansFromTheHeaviestToTheLightest) {
  EXPECT_THAT(plan_balance({{0, 105}, {1, 95}}), IsEmpty());
  EXPECT_THAT(plan_balance({{0, 300}, {1, 0}, {2, 0}}), ElementsAre(Share{0, 1, 100}, Share{0, 2, 100}));
  EXPECT_THAT(plan_balance({{0, 150}, {1, 150}, {2, 0}, {3, 0}}),
              ElementsAre(Share{1, 2, 75}, Share{0, 3, 75}));
}

// Whatever the loads are: no pair twice, nothing from nothing, and balanced afterwards.
TEST(Balance, EveryPlanBalances) {
  uint64_t random = 1;
  for (int round = 0; round < 2'000; ++round) {
    std::vector<Load> loads;
    std::map<uint16_t, uint64_t> after;
    const size_t count = 1 + round % 9;
    for (size_t i = 0; i < count; ++i) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      const uint64_t connections = (random >> 33) % (round % 2 == 0 ? 20 : 50'000);
      loads.push_back({static_cast<uint16_t>(i), connections});
      after[static_cast<uint16_t>(i)] = connections;
    }
    std::set<std::pair<uint16_t, uint16_t>> pairs;
    for (const Share& share : plan_balance(loads)) {
      EXPECT_GT(share.count, 0u);
      EXPECT_TRUE(pairs.insert({share.from, share.to}).second);
      ASSERT_GE(after[share.from], share.count);
      after[share.from] -= share.count;
      after[share.to] += share.count;
    }
    std::vector<Load> result;
    for (const auto& [slot, connections] : after) result.push_back({slot, connections});
    EXPECT_TRUE(balanced(result));
  }
}

TEST(Balance, ADepartureFillsTheLightestFirst) {
  std::vector<Load> staying{{0, 10}, {1, 40}, {2, 100}};
  EXPECT_THAT(plan_departure({3, 50}, staying), ElementsAre(Share{3, 0, 40}, Share{3, 1, 10}));
  EXPECT_THAT(plan_departure({4, 3}, staying), ElementsAre(Share{4, 0, 1}, Share{4, 1, 2}));
  EXPECT_THAT(plan_departure({4, 0}, staying), IsEmpty());
  std::vector<Load> nobody;
  EXPECT_THAT(plan_departure({4, 7}, nobody), IsEmpty());
}

// Workers as states; what is sent to them becomes text.
class MovesTest : public testing::Test, protected Moves::Actions {
 protected:
  bool can_move(uint16_t slot) const override { return ready_.contains(slot); }
  void send_move_out(uint16_t slot, const ipc::MoveOut& message, ipc::Descriptors descriptors) override {
    check(descriptors);
    page_ = inode(descriptors[1]);
    numbers_[slot] = message.move;
    did_ += "out" + std::to_string(slot) + (message.scope == ipc::MoveScope::All ? "all " : '*' + std::to_string(message.count) + ' ');
  }
  void send_move_in(uint16_t slot, const ipc::MoveIn&, ipc::Descriptors descriptors) override {
    check(descriptors);
    EXPECT_EQ(inode(descriptors[1]), page_) << "both have the same page";
    did_ += "in" + std::to_string(slot) + ' ';
  }
  static void check(const ipc::Descriptors& descriptors) {
    ASSERT_EQ(descriptors.size(), 2u);
    int type = 0;
    socklen_t size = sizeof type;
    EXPECT_EQ(getsockopt(descriptors[0].get(), SOL_SOCKET, SO_TYPE, &type, &size), 0);
    EXPECT_EQ(type, SOCK_SEQPACKET);
    struct stat status {};
    EXPECT_EQ(fstat(descriptors[1].get(), &status), 0);
    EXPECT_EQ(status.st_size, 4096);
  }
  static ino_t inode(const UniqueFd& descriptor) {
    struct stat status {};
    fstat(descriptor.get(), &status);
    return status.st_ino;
  }

  Moves::OnEnd note(const std::string& name) {
    return [this, name](const MoveEnd& end) {
      did_ += name + (end.ok ? ":" + std::to_string(end.moved) : ":failed") + ' ';
    };
  }
  void moved(uint16_t from, uint32_t count = 0, uint32_t left = 0, bool ok = true) {
    moves_.on_moved(from, {.move = numbers_[from], .ok = ok, .moved = count, .left = left});
  }
  std::string did() {
    loop_.run_turn(0);
    return std::exchange(did_, {});
  }

  EventLoop loop_;
  log::Log log_{"test"};
  Moves moves_{loop_, log_, *this};
  std::set<uint16_t> ready_{0, 1, 2, 3};
  std::map<uint16_t, uint32_t> numbers_;
  std::string did_;
  ino_t page_ = 0;
};

TEST_F(MovesTest, OneMoveAtATimeForEachWorker) {
  moves_.request({0, 1, ipc::MoveScope::Some, 5}, note("a"));
  moves_.request({0, 2}, note("b"));
  moves_.request({3, 2}, note("c"));
  EXPECT_EQ(did(), "out0*5 in1 out3all in2 ");
  moved(3, 9);
  EXPECT_EQ(did(), "c:9 ");
  moved(0, 5);
  EXPECT_EQ(did(), "a:5 out0all in2 ");
  moved(0, 1, 0, false);
  EXPECT_EQ(did(), "b:failed ");
  EXPECT_FALSE(moves_.running());
  EXPECT_EQ(loop_.alive(), 0u);
}

TEST_F(MovesTest, ADeathEndsAndTheNextMayGo) {
  moves_.request({0, 1}, note("a"));
  moves_.request({1, 2}, note("b"));
  moves_.request({3, 2}, note("c"));
  EXPECT_EQ(did(), "out0all in1 out3all in2 ");
  ready_.erase(1);
  moves_.on_dead(1);
  EXPECT_EQ(did(), "a:failed b:failed ");
  ready_.erase(3);
  moves_.on_dead(3);
  moved(0, 3);  // Too late.
  EXPECT_EQ(did(), "c:failed ");
  moves_.request({0, 1}, note("d"));
  EXPECT_EQ(did(), "d:failed ") << "there is nobody";
}

TEST_F(MovesTest, ALieAboutAMoveIsIgnored) {
  moves_.request({0, 1}, note("a"));
  did();
  moves_.on_moved(1, {.move = numbers_[0]});
  moves_.on_moved(0, {.move = numbers_[0] + 1});
  moves_.on_moved(0, {.move = 0});
  EXPECT_EQ(did(), "");
  moved(0);
  moves_.on_moved(0, {.move = UINT32_MAX});
  EXPECT_EQ(did(), "a:0 ");
}

TEST_F(MovesTest, WhatTakesTooLongIsNotWaitedFor) {
  moves_.request({0, 1, ipc::MoveScope::All, 0, 1}, note("a"));
  did();
  loop_.run_turn(1'000);
  EXPECT_EQ(did(), "a:0 ");
  moves_.request({0, 1}, note("b"));
  moves_.cancel_all();
  EXPECT_EQ(did(), "out0all in1 ");
  EXPECT_EQ(loop_.alive(), 0u);
}

class ResizeTest : public MovesTest, protected Resize::Actions {
 protected:
  bool serves(uint16_t slot) const override { return ready_.contains(slot); }
  uint64_t connections(uint16_t slot) const override {
    const auto found = loads_.find(slot);
    return found == loads_.end() ? 0 : found->second;
  }
  void dismiss(uint16_t slot) override {
    did_ += "dismiss" + std::to_string(slot) + ' ';
    ready_.erase(slot);
  }
  void resized() override { did_ += "resized "; }

  // What comes once the leaving had their time.
  std::string settled() {
    const int64_t end_ms = monotonic_ms() + Resize::kLeaveMs + 2'000;
    while (did_.empty() && monotonic_ms() < end_ms) loop_.run_turn(end_ms - monotonic_ms());
    return did();
  }
  static SlotSet set(std::initializer_list<uint16_t> slots) {
    SlotSet out;
    for (const uint16_t slot : slots) out.add(slot);
    return out;
  }
  void move(uint16_t from, uint16_t to, uint32_t count) {
    loads_[from] -= count;
    loads_[to] += count;
    moved(from, count, static_cast<uint32_t>(loads_[from]));
  }

  Resize resize_{loop_, log_, moves_, *this};
  std::map<uint16_t, uint64_t> loads_;
};

TEST_F(ResizeTest, GrowthWaitsForTheNewAndEvensOut) {
  loads_ = {{0, 300}};
  ready_ = {0, 1};
  resize_.begin(set({0, 1, 2}), {});
  EXPECT_EQ(did(), "");
  ready_.insert(2);
  resize_.on_serving();
  EXPECT_EQ(did(), "out0*100 in1 ");
  move(0, 1, 100);
  EXPECT_EQ(did(), "out0*100 in2 ");
  move(0, 2, 60);  // Not all could move now: another round.
  EXPECT_EQ(did(), "out0*40 in2 ");
  move(0, 2, 40);
  EXPECT_EQ(did(), "resized ");
  EXPECT_FALSE(resize_.running());
  EXPECT_EQ(loop_.alive(), 0u);
}

TEST_F(ResizeTest, WhatCannotMoveIsLeftAfterSomeRounds) {
  loads_ = {{0, 300}};
  resize_.begin(set({0, 1}), {});
  for (int i = 0; i < Resize::kAttemptsMax; ++i) {
    EXPECT_EQ(did(), "out0*150 in1 ");
    moved(0, 0, 300);
  }
  EXPECT_EQ(did(), "resized ");
}

TEST_F(ResizeTest, TheLeavingGiveEverythingAndGo) {
  loads_ = {{0, 10}, {1, 40}, {2, 50}, {3, 0}};
  resize_.begin(set({0, 1}), set({2, 3}));
  EXPECT_EQ(did(), "") << "they accept what is in their queues";
  EXPECT_EQ(settled(), "out2*40 in0 ");
  move(2, 0, 40);
  EXPECT_EQ(did(), "out2all in1 out3all in0 ") << "3 has nothing, but might";
  move(3, 0, 0);
  EXPECT_EQ(did(), "dismiss3 ");
  move(2, 1, 10);
  EXPECT_EQ(did(), "dismiss2 resized ");
}

TEST_F(ResizeTest, AFailedDepartureGoesElsewhereAndADeadOneIsForgotten) {
  loads_ = {{0, 10}, {1, 10}, {2, 0}, {3, 9}};
  ready_ = {0, 2, 3};
  ready_.insert(1);
  resize_.begin(set({0, 1}), set({2, 3}));
  resize_.on_dead(2);
  EXPECT_EQ(did(), "dismiss2 ");
  EXPECT_EQ(settled(), "out3*4 in0 ");
  ready_.erase(0);
  moves_.on_dead(0);
  EXPECT_EQ(settled(), "out3all in1 ");
  moved(3, 0, 9, false);
  EXPECT_EQ(settled(), "out3all in1 ");
  move(3, 1, 9);
  EXPECT_EQ(did(), "dismiss3 resized ");
}

TEST_F(ResizeTest, WhoCanGiveNothingGoesInTheEnd) {
  loads_ = {{0, 0}, {2, 7}};
  resize_.begin(set({0}), set({2}));
  EXPECT_EQ(settled(), "out2all in0 ");
  for (int i = 1; i < Resize::kAttemptsMax; ++i) {
    moved(2, 0, 7, false);
    EXPECT_EQ(settled(), "out2all in0 ");
  }
  moved(2, 0, 7, false);
  EXPECT_EQ(settled(), "dismiss2 resized ");
}

// However often: a successor has the connections, and nobody may be dismissed with them.
TEST_F(ResizeTest, WhoDiesOnTheWayGivesOrTakesAsItsSuccessor) {
  loads_ = {{0, 0}, {2, 7}};
  resize_.begin(set({0}), set({2}));
  EXPECT_EQ(settled(), "out2all in0 ");
  for (int i = 0; i < 2 * Resize::kAttemptsMax; ++i) {
    const uint16_t dies = i % 2 == 0 ? 2 : 0;
    ready_.erase(dies);
    moves_.on_dead(dies);
    loop_.after(2 * Resize::kRetryMs, [&] {
      ready_.insert(dies);
      resize_.on_successor();
    });
    EXPECT_EQ(settled(), "out2all in0 ") << i;
  }
  move(2, 0, 7);
  EXPECT_EQ(did(), "dismiss2 resized ");
}

// Replacements by way of the Takeover that drives them.
template <typename Actions>
class WorkersTest : public MovesTest, protected Actions {
 protected:
  void start_worker(uint16_t slot) override {
    did_ += "start" + std::to_string(slot) + ' ';
    alive_.insert(slot);
  }
  void dismiss_worker(uint16_t slot) override { did_ += "dismiss" + std::to_string(slot) + ' '; }
  void discard_worker(uint16_t slot) override { did_ += "discard" + std::to_string(slot) + ' '; }
  bool lives(uint16_t slot) const override { return alive_.contains(slot); }

  std::string did() {
    for (int i = 0; i < 4; ++i) loop_.run_turn(0);
    return MovesTest::did();
  }

  // Until something has been done.
  std::string wait() {
    std::string out;
    while (out.empty()) {
      loop_.run_turn(100);
      out = MovesTest::did();
    }
    return out + did();
  }

  std::set<uint16_t> alive_{0, 1};
};

class TakeoverTest : public WorkersTest<Takeover::Actions> {
 protected:
  uint64_t faults(uint16_t slot) const override { return slot >= 128 ? faults_ : 0; }
  void taken_over() override { did_ += "taken over "; }
  void give_back(const std::string& reason) override { did_ += "give back: " + reason; }

  void begin() {
    SlotSet slots = SlotSet::first(2);
    takeover_.begin(slots, {.trial_ms = trial_ms_});
    EXPECT_EQ(did(), "start128 start129 ");
  }
  void serve(uint16_t slot) {
    ready_.insert(slot);
    takeover_.on_serving(slot);
  }
  void die(uint16_t slot) {
    ready_.erase(slot);
    alive_.erase(slot);
    moves_.on_dead(slot);
    takeover_.on_dead(slot);
  }

  Takeover takeover_{loop_, log_, moves_, *this};
  int64_t trial_ms_ = 0;
  uint64_t faults_ = 1'000;  // Of workers before.
};

TEST_F(TakeoverTest, OldWorkersGoWhenAllHaveMoved) {
  begin();
  serve(129);
  EXPECT_EQ(did(), "out1all in129 ");
  moved(1, 10);
  EXPECT_EQ(did(), "");
  serve(128);
  EXPECT_EQ(did(), "out0all in128 ");
  moved(0, 10, 2);
  EXPECT_EQ(did(), "dismiss0 dismiss1 ");
  die(0);
  EXPECT_EQ(did(), "");
  die(1);
  EXPECT_EQ(did(), "taken over ");
  EXPECT_EQ(loop_.alive(), 0u);
}

TEST_F(TakeoverTest, ANewWorkerThatDiesBeforeItIsReadySendsTheOthersBack) {
  begin();
  serve(129);
  EXPECT_EQ(did(), "out1all in129 ");
  moved(1, 10);
  die(128);
  EXPECT_EQ(did(), "discard128 out129all in1 ");
  moved(129, 10);
  EXPECT_EQ(did(), "discard129 ");
  die(129);
  EXPECT_EQ(did(), "discard129 give back: the new worker died before it was ready");
  EXPECT_EQ(loop_.alive(), 0u);
}

TEST_F(TakeoverTest, AMoveThatIsUnderwayIsFinishedBeforeItGoesBack) {
  begin();
  serve(128);
  serve(129);
  EXPECT_EQ(did(), "out0all in128 out1all in129 ");
  die(128);
  EXPECT_EQ(did(), "discard128 ");
  moved(1, 10);
  EXPECT_EQ(did(), "out129all in1 ");
  moved(129, 9, 1);
  EXPECT_EQ(did(), "dismiss129 ") << "gracefully, for the one that could not come back";
  die(129);
  EXPECT_EQ(did(), "discard129 give back: the new worker died");
}

TEST_F(TakeoverTest, ARefusedMoveGoesBack) {
  begin();
  serve(128);
  did();
  moves_.on_moved(0, {.move = numbers_[0], .ok = false, .moved = 3, .left = 7, .reason = "no room"});
  EXPECT_EQ(did(), "out128all in0 ");
  moved(128, 3);
  EXPECT_EQ(did(), "discard128 ");
  die(128);
  EXPECT_EQ(did(), "discard128 discard129 ");
  die(129);
  EXPECT_EQ(did(), "discard129 give back: no room");
}

// The master hears from the old worker that the new one has died before it hears from its successor.
TEST_F(TakeoverTest, AMoveBackThatASuccessorDoesNotKnowOfIsAskedForAgain) {
  begin();
  serve(128);
  did();
  moves_.on_moved(0, {.move = numbers_[0], .ok = false, .moved = 3, .left = 7, .reason = "the other worker is gone"});
  EXPECT_EQ(did(), "out128all in0 ");
  moves_.on_dead(128);
  EXPECT_EQ(did(), "out128all in0 ");
  moved(128, 3);
  EXPECT_EQ(did(), "discard128 ");
  die(128);
  EXPECT_EQ(did(), "discard128 discard129 ");
}

TEST_F(TakeoverTest, AFewConnectionsTryTheNewWorkerBeforeTheOthersCome) {
  trial_ms_ = 20;
  begin();
  serve(128);
  EXPECT_EQ(did(), "out0*64 in128 ");
  moved(0, 64, 100);
  faults_ += 4;  // One in sixteen: clients of any server do that.
  EXPECT_EQ(wait(), "out0all in128 ");
  serve(129);
  EXPECT_EQ(did(), "out1*64 in129 ");
  moved(1, 0);
  EXPECT_EQ(did(), "out1all in129 ") << "there is nobody to try it with";
}

TEST_F(TakeoverTest, TooManyFaultsOnTrialSendEverybodyBack) {
  trial_ms_ = 20;
  begin();
  serve(128);
  EXPECT_EQ(did(), "out0*64 in128 ");
  moved(0, 64, 100);
  faults_ += 5;
  EXPECT_EQ(wait(), "out128all in0 ");
  moved(128, 59);
  EXPECT_EQ(did(), "discard128 ");
  die(128);
  EXPECT_EQ(did(), "discard128 discard129 ");
  die(129);
  EXPECT_EQ(did(), "discard129 give back: the new worker closed connections for what it read there");
}

TEST_F(TakeoverTest, ADeathOnTrialSendsEverybodyBack) {
  trial_ms_ = 60'000;
  begin();
  serve(128);
  did();
  moved(0, 64, 100);
  did();
  serve(129);
  EXPECT_EQ(did(), "out1*64 in129 ");
  takeover_.on_successor(128);
  EXPECT_EQ(did(), "out128all in0 ") << "what it has is asked of its successor";
  moved(128, 64);
  EXPECT_EQ(did(), "discard128 ");
  die(128);
  moved(1, 64, 100);
  EXPECT_EQ(did(), "discard128 out129all in1 ") << "a trial that had just begun ends as well";
}

TEST_F(TakeoverTest, WhatASuccessorOfAnEmptiedWorkerAcceptsMovesToo) {
  begin();
  serve(128);
  did();
  moved(0);
  EXPECT_EQ(did(), "");
  takeover_.on_successor(128);
  EXPECT_EQ(did(), "") << "it has what has moved";
  takeover_.on_successor(0);
  EXPECT_EQ(did(), "out0all in128 ");
  serve(129);
  did();
  moved(1);
  EXPECT_EQ(did(), "") << "one of them is not empty";
  moved(0);
  EXPECT_EQ(did(), "dismiss0 dismiss1 ");
  takeover_.on_successor(0);
  EXPECT_EQ(did(), "") << "it is told to go by the same bus";
}

TEST_F(TakeoverTest, AMoveBackThatAlwaysFailsIsGivenUp) {
  begin();
  serve(128);
  did();
  moves_.on_moved(0, {.move = numbers_[0], .ok = false, .moved = 3, .left = 7, .reason = "the other worker is gone"});
  for (int i = 0; i < Replacement::kReturnsMax; ++i) {
    EXPECT_EQ(did(), "out128all in0 ");
    moves_.on_dead(128);
  }
  EXPECT_EQ(did(), "dismiss128 ") << "gracefully, for what could not come back";
}

TEST_F(TakeoverTest, AnOldWorkerThatDiesIsReplacedForGood) {
  begin();
  serve(128);
  did();
  die(0);
  EXPECT_EQ(did(), "discard0 ");
  serve(129);
  EXPECT_EQ(did(), "out1all in129 ");
  moved(1);
  EXPECT_EQ(did(), "dismiss0 dismiss1 ");
  die(1);
  EXPECT_EQ(did(), "taken over ");
}

TEST_F(TakeoverTest, AnOldWorkerThatDiedHasNothingToComeBackTo) {
  begin();
  die(0);
  EXPECT_EQ(did(), "discard0 ");
  serve(128);
  EXPECT_EQ(did(), "");
  die(129);
  EXPECT_EQ(did(), "discard129 give back: the new worker died before it was ready") << "128 stays";
}

TEST_F(TakeoverTest, CanBeCancelledAtAnyTime) {
  begin();
  serve(128);
  did();
  takeover_.cancel();
  moves_.cancel_all();
  EXPECT_EQ(loop_.alive(), 0u);
}

class RepairTest : public WorkersTest<Repair::Actions> {
 protected:
  bool serves(uint16_t slot) const override { return alive_.contains(slot) && ready_.contains(slot); }
  uint64_t faults(uint16_t) const override { return 0; }
  uint64_t connections(uint16_t slot) const override { return slot == 0 ? connections_ : 0; }
  void repair_due() override { did_ += "due "; }
  void repaired(uint16_t slot) override { did_ += "repaired" + std::to_string(slot) + ' '; }
  void repair_ended() override { did_ += "ended "; }

  void begin(const char* does) {
    EXPECT_EQ(wait(), "due ");
    repair_.begin();
    EXPECT_EQ(did(), does);
  }
  void serve(uint16_t slot) {
    ready_.insert(slot);
    repair_.on_serving(slot);
  }
  void die(uint16_t slot) {
    ready_.erase(slot);
    alive_.erase(slot);
    moves_.on_dead(slot);
    repair_.on_dead(slot);
  }
  // Slot 0 has given its place away, and keeps some connections.
  void retire() {
    repair_.lost(0);
    begin("start128 ");
    serve(128);
    EXPECT_EQ(did(), "out0all in128 ");
    connections_ = 2;
    moved(0, 10, 2);
    EXPECT_EQ(did(), "repaired0 ended ");
  }

  Repair repair_{loop_, log_, moves_, *this};
  uint64_t connections_ = 0;  // Of slot 0.
};

TEST_F(RepairTest, AWorkerWithoutKeepersGivesItsPlaceToItsTwin) {
  repair_.lost(0);
  repair_.lost(0);
  EXPECT_FALSE(repair_.due());
  begin("start128 ");
  EXPECT_TRUE(repair_.running());
  serve(128);
  EXPECT_EQ(did(), "out0all in128 ");
  moved(0, 10);
  EXPECT_EQ(did(), "dismiss0 repaired0 ended ");
  EXPECT_FALSE(repair_.running() || repair_.due() || repair_.gives_way(0));
  die(0);
  EXPECT_EQ(did(), "");
  EXPECT_EQ(loop_.alive(), 0u);
}

TEST_F(RepairTest, WhatCannotMoveIsServedUntilItEnds) {
  retire();
  EXPECT_TRUE(repair_.gives_way(0));
  repair_.lost(0);
  repair_.dismiss_empty();
  EXPECT_EQ(did(), "") << "it is known";
  connections_ = 0;
  repair_.dismiss_empty();
  EXPECT_EQ(did(), "dismiss0 ");
  EXPECT_FALSE(repair_.gives_way(0));
}

TEST_F(RepairTest, ARetiredWorkerGoesWhenItsPlaceIsNeeded) {
  retire();
  repair_.dismiss_retired();
  repair_.dismiss_retired();
  EXPECT_EQ(did(), "dismiss0 ");
}

TEST_F(RepairTest, ARetiredWorkerThatDiesHasNoSuccessor) {
  retire();
  die(0);
  EXPECT_EQ(did(), "discard0 ");
  EXPECT_FALSE(repair_.gives_way(0));
}

TEST_F(RepairTest, WhatARetiredWorkerHasGoesToASuccessorOfItsTwin) {
  retire();
  repair_.on_successor(128);
  serve(128);
  EXPECT_EQ(did(), "out0all in128 ");
  moved(0, 1, 1);
  EXPECT_EQ(did(), "");
  EXPECT_TRUE(repair_.gives_way(0));
}

TEST_F(RepairTest, WhereTheTwinStillLivesItsDeathIsWaitedFor) {
  retire();
  repair_.lost(128);
  begin("");
  EXPECT_FALSE(repair_.running());
  EXPECT_FALSE(repair_.gives_way(128));
  die(0);
  EXPECT_EQ(did(), "discard0 ");
  begin("start0 ");
}

TEST_F(RepairTest, WhatFailsIsTriedAgainAfterAPause) {
  repair_.lost(0);
  repair_.lost(1);
  begin("start128 start129 ");
  const int64_t began_ms = monotonic_ms();
  serve(129);
  EXPECT_EQ(did(), "out1all in129 ");
  moved(1, 10);
  EXPECT_EQ(did(), "dismiss1 repaired1 ");
  die(128);
  EXPECT_EQ(did(), "discard128 ended ");
  begin("start128 ");
  EXPECT_GE(monotonic_ms() - began_ms, RespawnBackoff::kDelayFirstMs - 1);
}

TEST_F(RepairTest, AWorkerThatDiesBeforeIsReplacedAsEver) {
  repair_.lost(0);
  die(0);
  begin("");
  EXPECT_FALSE(repair_.running());
}

TEST_F(RepairTest, OneThatOnlyStartsIsRepairedOnceItServes) {
  ready_.erase(0);
  repair_.lost(0);
  begin("");
  serve(0);
  begin("start128 ");
}

// Another master goes on.
TEST_F(RepairTest, ATwinThatServesAlreadyTakesTheRest) {
  alive_.insert(128);
  ready_.insert(128);
  repair_.lost(0);
  EXPECT_TRUE(repair_.gives_way(0));
  begin("start128 out0all in128 ");
  moved(0, 10);
  EXPECT_EQ(did(), "dismiss0 repaired0 ended ");
}

TEST_F(RepairTest, CanBeCancelledAtAnyTime) {
  repair_.lost(0);
  repair_.cancel();
  EXPECT_EQ(loop_.alive(), 0u);
  repair_.lost(0);
  begin("start128 ");
  serve(128);
  did();
  repair_.cancel();
  moves_.cancel_all();
  EXPECT_EQ(loop_.alive(), 0u);
}

}  // namespace
}  // namespace beamgate::master
