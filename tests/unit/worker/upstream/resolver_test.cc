#include "worker/upstream/resolver.h"

#include <gtest/gtest.h>

namespace beamgate::upstream {
namespace {

TEST(Resolver, AsksUntilTheTimeIsOver) {
  EXPECT_EQ(Resolver::rounds_within(1, 1), 1);
  EXPECT_EQ(Resolver::rounds_within(1'000, 1), 1);
  EXPECT_EQ(Resolver::rounds_within(1'001, 1), 2);
  EXPECT_EQ(Resolver::rounds_within(15'000, 1), 4);  // 1, 2, 4 and 8 s.
  EXPECT_EQ(Resolver::rounds_within(30'000, 1), 5);
  EXPECT_EQ(Resolver::rounds_within(30'000, 3), 4);  // 3, 6, 12 and 24 s.
  EXPECT_EQ(Resolver::rounds_within(30'000, 0), 5);  // The system's.
  EXPECT_EQ(Resolver::rounds_within(86'400'000, 1), 17);
}

}  // namespace
}  // namespace beamgate::upstream
