// Occupancy: a channel that is empty for a moment was never vacant, and each change is told once.
#include "master/hub/occupancy.h"

#include <gtest/gtest.h>

namespace beamgate::master {
namespace {

std::string told(Occupancy& occupancy) {
  std::string out;
  for (const Occupancy::Change& change : occupancy.take_changes()) out += (change.occupied ? "+" : "-") + change.channel;
  return out;
}

TEST(Occupancy, ComesAndGoes) {
  Occupancy occupancy;
  occupancy.occupied("a");
  EXPECT_EQ(told(occupancy), "+a");
  occupancy.vacated("a", 1000);
  EXPECT_EQ(occupancy.expire(1000), 4000);
  EXPECT_EQ(told(occupancy), "");
  EXPECT_EQ(occupancy.expire(4000), 0);
  EXPECT_EQ(told(occupancy), "-a");
  occupancy.occupied("a");
  EXPECT_EQ(told(occupancy), "+a");
}

TEST(Occupancy, BackInTimeIsNeverAway) {
  Occupancy occupancy;
  occupancy.vacated("a", 1000);
  occupancy.occupied("a");
  occupancy.vacated("a", 3000);
  EXPECT_EQ(occupancy.expire(4500), 6000);
  EXPECT_EQ(told(occupancy), "");
  EXPECT_EQ(occupancy.expire(6000), 0);
  EXPECT_EQ(told(occupancy), "-a");
}

TEST(Occupancy, InOrderAndBounded) {
  Occupancy occupancy;
  for (size_t i = 0; i < Occupancy::kWaitingMax + 10; ++i) occupancy.occupied(std::to_string(i));
  const auto changes = occupancy.take_changes();
  EXPECT_EQ(changes.size(), Occupancy::kWaitingMax);
  EXPECT_EQ(changes.front().channel, "0");
  EXPECT_FALSE(occupancy.has_changes());
}

}  // namespace
}  // namespace beamgate::master
