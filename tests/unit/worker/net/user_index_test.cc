// The index of users against a simple list of who is whom, through any sequence of comings and goings.
#include "worker/net/user_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>

namespace beamgate::net {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;

TEST(UserIndex, OneUserHasSomeSlots) {
  UserIndex index;
  index.set(5, "ann");
  index.set(2, "ann");
  index.set(3, "bob");
  EXPECT_THAT(index.slots_of("ann"), ElementsAre(2u, 5u));
  EXPECT_THAT(index.slots_of("bob"), ElementsAre(3u));
  EXPECT_THAT(index.slots_of("carl"), IsEmpty());
  EXPECT_THAT(index.slots_of(""), IsEmpty());
  index.set(2, "bob");
  index.set(5, "");
  index.set(99, "");
  EXPECT_THAT(index.slots_of("ann"), IsEmpty());
  EXPECT_THAT(index.slots_of("bob"), ElementsAre(2u, 3u));
  EXPECT_EQ(index.users(), 1u) << "nothing is kept of a user without connections";
}

TEST(UserIndex, AnySequence) {
  std::mt19937 random(7);
  UserIndex index;
  std::map<uint32_t, std::string> known;
  for (int step = 0; step < 20'000; ++step) {
    const auto slot = static_cast<uint32_t>(random() % 40);
    const std::string user = random() % 3 == 0 ? std::string() : "user-" + std::to_string(random() % 6);
    index.set(slot, user);
    known[slot] = user;
    const std::string asked = "user-" + std::to_string(random() % 6);
    std::vector<uint32_t> expected;
    for (const auto& [at, name] : known) {
      if (name == asked) expected.push_back(at);
    }
    ASSERT_THAT(index.slots_of(asked), ElementsAreArray(expected)) << "step " << step;
  }
  std::set<std::string> left;
  for (const auto& [at, name] : known) left.insert(name);
  left.erase("");
  EXPECT_EQ(index.users(), left.size());
}

}  // namespace
}  // namespace beamgate::net
