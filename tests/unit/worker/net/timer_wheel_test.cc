// Deadlines fire once, never early, in whichever round of the wheel they are, and can be moved or cleared.
#include "worker/net/timer_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace beamgate::net {
namespace {

class TimerWheelTest : public testing::Test {
 protected:
  std::vector<int> advance(int64_t now) {
    std::vector<int> fired;
    wheel_.advance(now, [&](record::Record& record) { fired.push_back(static_cast<int>(&record - records_)); });
    return fired;
  }

  record::Record records_[64];
  TimerWheel wheel_{records_, 1'000};
};

TEST_F(TimerWheelTest, NeverEarlyAndOnce) {
  wheel_.arm(records_[3], wheel_.tick_at(2'010));
  EXPECT_TRUE(advance(2'009).empty());
  EXPECT_EQ(advance(2'010 + TimerWheel::kTickMs), std::vector<int>{3});
  EXPECT_TRUE(advance(1'000'000).empty());
}

TEST_F(TimerWheelTest, WaitsThroughLaterRounds) {
  const int64_t round = TimerWheel::kTickMs * TimerWheel::kBuckets;
  const int64_t at = 1'000 + 3 * round + 500;
  wheel_.arm(records_[5], wheel_.tick_at(at));
  EXPECT_TRUE(advance(at - 1).empty());
  EXPECT_EQ(advance(at + TimerWheel::kTickMs), std::vector<int>{5});
}

TEST_F(TimerWheelTest, AgainstAModel) {
  std::mt19937 random(11);
  std::map<int, int64_t> model;
  int64_t now = 1'000;
  for (int step = 0; step < 50'000; ++step) {
    const int slot = static_cast<int>(random() % 64);
    if (random() % 3 == 0) {
      wheel_.disarm(records_[slot]);
      model.erase(slot);
    } else {
      const int64_t at = now + static_cast<int64_t>(random() % 600'000);
      wheel_.arm(records_[slot], wheel_.tick_at(at));
      model[slot] = at;
    }
    now += static_cast<int64_t>(random() % 2'000);
    for (const int fired : advance(now)) {
      ASSERT_TRUE(model.contains(fired));
      ASSERT_LE(model[fired], now) << "fired early";
      model.erase(fired);
    }
    for (const auto& [waiting, at] : model) ASSERT_GT(at + 2 * TimerWheel::kTickMs, now) << "forgotten";
  }
}

TEST_F(TimerWheelTest, ExpiryMayArmOthersAndItself) {
  wheel_.arm(records_[0], wheel_.tick_at(1'100));
  int calls = 0;
  wheel_.advance(5'000, [&](record::Record& record) {
    if (++calls < 5) wheel_.arm(record, wheel_.tick_at(1'100));  // The past counts as the next tick.
  });
  EXPECT_EQ(calls, 5);
}

}  // namespace
}  // namespace beamgate::net
