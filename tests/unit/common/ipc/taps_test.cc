// Taps: who is looked at by whom, for as long as that is renewed.
#include "common/ipc/taps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace beamgate::ipc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr uint64_t kAnn = 11;
constexpr uint64_t kBob = 12;

class TapsTest : public ::testing::Test {
 protected:
  std::vector<uint64_t> shown(uint64_t user, int64_t now_ms) const {
    std::vector<uint64_t> out;
    taps_->for_each_connection(user, now_ms, [&](uint64_t connection) { out.push_back(connection); });
    return out;
  }

  std::unique_ptr<Taps> taps_ = std::make_unique<Taps>();
};

TEST_F(TapsTest, NobodyIsLookedAtAtFirst) {
  EXPECT_FALSE(taps_->any(1));
  EXPECT_THAT(shown(kAnn, 1), IsEmpty());
  EXPECT_THAT(shown(0, 1), IsEmpty());
}

TEST_F(TapsTest, ATapLastsAsLongAsItIsRenewed) {
  EXPECT_EQ(taps_->renew(kAnn, 1, 1'000), Taps::Renewed::Begun);
  EXPECT_EQ(taps_->renew(kAnn, 1, 3'000), Taps::Renewed::Goes);
  EXPECT_TRUE(taps_->any(7'999));
  EXPECT_TRUE(taps_->has(1, 7'999));
  EXPECT_THAT(shown(kAnn, 7'999), ElementsAre(1));
  EXPECT_THAT(shown(kBob, 7'999), IsEmpty());
  EXPECT_FALSE(taps_->any(8'000));
  EXPECT_FALSE(taps_->has(1, 8'000));
  EXPECT_THAT(shown(kAnn, 8'000), IsEmpty());
  EXPECT_EQ(taps_->renew(kAnn, 1, 9'000), Taps::Renewed::Begun);
}

TEST_F(TapsTest, SeveralLookAtOneUserAndOneAtAnother) {
  taps_->renew(kAnn, 1, 0);
  taps_->renew(kAnn, 2, 0);
  taps_->renew(kBob, 3, 0);
  EXPECT_THAT(shown(kAnn, 1), UnorderedElementsAre(1, 2));
  EXPECT_EQ(taps_->renew(kBob, 1, 1), Taps::Renewed::Begun) << "a connection looks at one user";
  EXPECT_THAT(shown(kAnn, 1), ElementsAre(2));
  EXPECT_THAT(shown(kBob, 1), UnorderedElementsAre(1, 3));
}

TEST_F(TapsTest, PlacesAreFreeAgainOnceTheirTapHasEnded) {
  for (uint64_t connection = 1; connection <= Taps::kTapsMax; ++connection) {
    EXPECT_EQ(taps_->renew(kAnn, connection, 100), Taps::Renewed::Begun);
  }
  EXPECT_EQ(taps_->renew(kAnn, 1'000, 200), Taps::Renewed::NoPlace);
  EXPECT_EQ(taps_->renew(kAnn, 2, 200), Taps::Renewed::Goes);
  EXPECT_EQ(taps_->renew(kBob, 1'000, 100 + Taps::kLeaseMs), Taps::Renewed::Begun);
  EXPECT_THAT(shown(kAnn, 100 + Taps::kLeaseMs), ElementsAre(2));
  EXPECT_THAT(shown(kBob, 100 + Taps::kLeaseMs), ElementsAre(1'000));
}

TEST_F(TapsTest, APlaceWhoseClaimerDiedIsFreeInTime) {
  auto* words = reinterpret_cast<std::atomic<int64_t>*>(taps_.get());
  static_assert(sizeof(Taps) == 8 + Taps::kTapsMax * 24);
  for (size_t i = 0; i < Taps::kTapsMax; ++i) words[1 + 3 * i + 2] = -5'000;
  EXPECT_EQ(taps_->renew(kAnn, 1, 4'999), Taps::Renewed::NoPlace);
  EXPECT_EQ(taps_->renew(kAnn, 1, 5'000), Taps::Renewed::Begun);
  EXPECT_THAT(shown(kAnn, 5'001), ElementsAre(1));
  EXPECT_THAT(shown(0, 4'000), IsEmpty());
}

// Four times as many as there are places for, and each lease is over when the next one asks.
TEST_F(TapsTest, NobodyIsShownWhatAnotherHasAskedFor) {
  constexpr uint64_t kConnections = 4 * Taps::kTapsMax;
  constexpr int kRounds = 20'000;
  std::atomic<int64_t> now = 1;
  std::atomic<uint64_t> wrong = 0;
  const auto look = [&](uint64_t first) {
    for (int i = 0; i < kRounds; ++i) {
      const uint64_t connection = 1 + (first + static_cast<uint64_t>(i)) % kConnections;
      taps_->renew(1'000 + connection, connection, now.fetch_add(Taps::kLeaseMs / 8));
      const uint64_t user = 1'000 + 1 + static_cast<uint64_t>(i) % kConnections;
      taps_->for_each_connection(user, now.load() - Taps::kLeaseMs / 2, [&](uint64_t shown) { wrong += shown + 1'000 != user; });
    }
  };
  std::vector<std::thread> others;
  for (uint64_t i = 0; i < 4; ++i) others.emplace_back(look, i * 7);
  for (std::thread& other : others) other.join();
  EXPECT_EQ(wrong.load(), 0u);
}

}  // namespace
}  // namespace beamgate::ipc
