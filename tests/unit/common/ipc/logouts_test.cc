// Logouts: a session that was ended stays so for as long as it would have lasted, whatever else is ended.
#include "common/ipc/logouts.h"

#include <gtest/gtest.h>

#include <memory>

namespace beamgate::ipc {
namespace {

class LogoutsTest : public ::testing::Test {
 protected:
  std::unique_ptr<Logouts> logouts_ = std::make_unique<Logouts>();
};

TEST_F(LogoutsTest, OneSessionEnds) {
  EXPECT_FALSE(logouts_->has(1, 100));
  logouts_->add(1, 200, 110);
  EXPECT_TRUE(logouts_->has(1, 100));
  EXPECT_FALSE(logouts_->has(2, 100));
}

TEST_F(LogoutsTest, APlaceIsTakenOnceItsSessionWouldHaveEnded) {
  logouts_->add(1, 200, 110);
  logouts_->add(2, 900, 120);
  logouts_->add(3, 900, 200);
  EXPECT_FALSE(logouts_->has(1, 150));
  EXPECT_TRUE(logouts_->has(2, 150));
  EXPECT_TRUE(logouts_->has(3, 150));
}

TEST_F(LogoutsTest, WhereThereIsNoPlaceAllEnd) {
  for (uint64_t session = 1; session <= Logouts::kLogoutsMax; ++session) logouts_->add(session, 900, 110);
  EXPECT_FALSE(logouts_->has(1'000, 100));
  logouts_->add(1'001, 900, 120);
  EXPECT_TRUE(logouts_->has(1'000, 100));
  EXPECT_TRUE(logouts_->has(1'000, 120)) << "nobody knows which of them was earlier in this second";
  EXPECT_FALSE(logouts_->has(1'000, 121));
}

TEST_F(LogoutsTest, WhatBeganBeforeAFreshPageHasEnded) {
  logouts_->begin(100);
  EXPECT_TRUE(logouts_->has(1, 99));
  EXPECT_FALSE(logouts_->has(1, 100));
}

}  // namespace
}  // namespace beamgate::ipc
