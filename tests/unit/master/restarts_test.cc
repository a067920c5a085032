// What follows a worker's death, as tables of deaths and what is to be done.
#include <gtest/gtest.h>

#include "master/keeper/restarts.h"
#include "master/keeper/watchdog.h"

namespace beamgate::master {
namespace {

using Verdict = Restarts::Verdict;

std::vector<int64_t> delays(Restarts& restarts, int deaths, int64_t from_ms, bool crashed) {
  std::vector<int64_t> out;
  for (int i = 0; i < deaths; ++i) out.push_back(restarts.after_death(from_ms, crashed, true).delay_ms);
  return out;
}

TEST(Restarts, WhoIsKilledIsReplacedAtOnceHoweverOften) {
  Restarts restarts;
  for (int i = 0; i < 1'000; ++i) {
    const auto next = restarts.after_death(i, false, true);
    EXPECT_EQ(next.delay_ms, 0);
    EXPECT_EQ(next.verdict, Verdict::Adopt);
  }
}

TEST(Restarts, CrashesWaitLongerAndLongerUntilItGetsQuiet) {
  Restarts restarts;
  EXPECT_EQ(delays(restarts, 12, 1'000, true),
            (std::vector<int64_t>{0, 0, 0, 0, 0, 100, 200, 400, 800, 1'600, 2'000, 2'000}));
  EXPECT_EQ(delays(restarts, 1, 10'999, true), std::vector<int64_t>{2'000});
  EXPECT_EQ(delays(restarts, 5, 21'000, true), std::vector<int64_t>(5, 0));
  EXPECT_EQ(delays(restarts, 1, 21'000, true), std::vector<int64_t>{100});
}

TEST(Restarts, TooManyCrashesDropWhatIsInheritedOnce) {
  Restarts restarts;
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(restarts.after_death(i * 1'900, true, true).verdict, Verdict::Adopt) << i;
  }
  EXPECT_EQ(restarts.after_death(57'000, true, true).verdict, Verdict::Fresh);
  EXPECT_EQ(restarts.after_death(57'001, true, true).verdict, Verdict::Adopt);

  Restarts slow;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(slow.after_death(i * 2'100, true, true).verdict, Verdict::Adopt) << "29 a minute";
  }
}

TEST(Restarts, WhoNeverServesAdoptsThenBeginsAfreshThenIsGivenUp) {
  Restarts restarts;
  restarts.after_death(0, false, true);
  const Verdict expected[] = {Verdict::Adopt, Verdict::Adopt, Verdict::Fresh,
                              Verdict::Adopt, Verdict::Adopt, Verdict::GiveUp};
  for (const Verdict verdict : expected) EXPECT_EQ(restarts.after_death(0, false, false).verdict, verdict);
}

TEST(Restarts, ServingOnceMakesTheRowBeginAnew) {
  Restarts restarts;
  restarts.after_death(0, false, true);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(restarts.after_death(0, false, false).verdict, Verdict::Adopt);
    EXPECT_EQ(restarts.after_death(0, false, false).verdict, Verdict::Adopt);
    EXPECT_EQ(restarts.after_death(0, false, true).verdict, Verdict::Adopt);
  }
}

TEST(Restarts, AFirstWorkerThatNeverServedIsTheMastersMatter) {
  EXPECT_EQ(Restarts().after_death(0, true, false).verdict, Verdict::GiveUp);
}

class WatchdogTest : public testing::Test {
 protected:
  using Action = Watchdog::Action;
  // Looks every 100 ms until there is something to do; gives the time, or -1.
  int64_t until(Action action, int64_t end_ms) {
    for (; now_ms_ <= end_ms; now_ms_ += 100) {
      const Action taken = watchdog_.look(now_ms_, heartbeat_ms_, limit_ms_, [this] { return stopped_; });
      if (taken == Action::None) continue;
      EXPECT_EQ(taken, action);
      return now_ms_;
    }
    return -1;
  }

  Watchdog watchdog_;
  int64_t now_ms_ = 100'000;
  int64_t heartbeat_ms_ = 100'000;
  int64_t limit_ms_ = 1'000;
  bool stopped_ = false;
};

TEST_F(WatchdogTest, AbortsThenKills) {
  EXPECT_EQ(until(Action::Abort, 110'000), 101'100);
  EXPECT_EQ(until(Action::Kill, 110'000), 101'100 + Watchdog::kKillMs);
  watchdog_.reset();
  heartbeat_ms_ = now_ms_;
  EXPECT_EQ(until(Action::Abort, now_ms_ + 900), -1);
}

TEST_F(WatchdogTest, CanBeOff) {
  limit_ms_ = 0;
  EXPECT_EQ(until(Action::Abort, 200'000), -1);
}

TEST_F(WatchdogTest, WhoIsStoppedHasAnExcuseAndAFullLimitAfterwards) {
  stopped_ = true;
  EXPECT_EQ(until(Action::Abort, 104'900), -1);
  stopped_ = false;
  const int64_t seen = until(Action::Abort, 120'000);
  EXPECT_GT(seen, 105'000);
  EXPECT_LE(seen, 106'100);
}

TEST_F(WatchdogTest, TimeInWhichTheKeeperStoodStillToo) {
  EXPECT_EQ(until(Action::Abort, 100'500), -1);
  now_ms_ = 150'000;
  EXPECT_EQ(until(Action::Abort, 200'000), 151'100);
}

}  // namespace
}  // namespace beamgate::master
