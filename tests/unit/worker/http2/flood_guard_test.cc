// How much of each kind of frame a connection may send: a burst, then a rate, each kind for itself.
#include "worker/http2/flood_guard.h"

#include <gtest/gtest.h>

namespace beamgate::http2 {
namespace {

int allowed(FloodGuard& guard, Flood flood, int64_t now_ms, int tries) {
  int count = 0;
  for (int i = 0; i < tries; ++i) count += guard.allow(flood, now_ms);
  return count;
}

TEST(FloodGuard, ABurstThenARate) {
  FloodGuard guard;
  EXPECT_EQ(allowed(guard, Flood::Pings, 5'000, 1'000), 100);
  EXPECT_EQ(allowed(guard, Flood::Pings, 5'900, 1'000), 0) << "within the same second";
  EXPECT_EQ(allowed(guard, Flood::Pings, 7'000, 1'000), 20);
  EXPECT_EQ(allowed(guard, Flood::Pings, 1'000'000'000, 1'000), 100) << "never more than the burst";
}

TEST(FloodGuard, EachKindForItself) {
  FloodGuard guard;
  EXPECT_EQ(allowed(guard, Flood::Settings, 1'000, 1'000), 40);
  EXPECT_EQ(allowed(guard, Flood::Resets, 1'000, 1'000), 300);
  EXPECT_EQ(allowed(guard, Flood::Empty, 1'000, 1'000), 200);
}

TEST(FloodGuard, WindowUpdatesForDataAreFree) {
  FloodGuard guard;
  for (int i = 0; i < 100'000; ++i) {
    guard.sent_data();
    ASSERT_EQ(allowed(guard, Flood::WindowUpdates, 1'000, 2), 2);
  }
  EXPECT_LE(allowed(guard, Flood::WindowUpdates, 1'000, 10'000), 2'000);
}

TEST(FloodGuard, EveryKindHasItsMetric) {
  for (int i = 0; i < static_cast<int>(Flood::kCount); ++i) {
    EXPECT_TRUE(std::string(metrics::name_of(metric_of(static_cast<Flood>(i)))).starts_with("http2_floods_"));
  }
}

}  // namespace
}  // namespace beamgate::http2
