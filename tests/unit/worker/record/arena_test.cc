// The arena hands out disjoint blocks of every size, takes them back, and gives memory back to the kernel:
// everything a connection is depends on it.
#include "worker/record/arena.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>
#include <map>
#include <random>

#include "worker/record/frame.h"
#include "worker/record/record.h"
#include "worker/record/text_block.h"
#include "worker/record/uid.h"

namespace beamgate::record {
namespace {

Arena make_arena(uint32_t slots = 16) {
  auto arena = Arena::map(UniqueFd(), slots);
  EXPECT_TRUE(arena.ok());
  return std::move(arena).value();
}

TEST(Arena, BlocksOfEverySizeAreDisjointAndKeepTheirBytes) {
  Arena arena = make_arena();
  std::mt19937 random(7);
  std::map<Ref, std::pair<size_t, char>> live;
  for (int step = 0; step < 20'000; ++step) {
    if (live.size() < 400 || random() % 2 == 0) {
      const size_t size = random() % 8 == 0 ? random() % 300'000 : random() % 2'000 + 1;
      const Ref ref = arena.allocate(size);
      ASSERT_NE(ref, kNull);
      ASSERT_GE(arena.capacity(ref), size);
      ASSERT_FALSE(live.contains(ref));
      const auto fill = static_cast<char>(random());
      memset(arena.at(ref), fill, size);
      live[ref] = {size, fill};
    } else {
      auto victim = live.begin();
      std::advance(victim, static_cast<long>(random() % live.size()));
      const auto [size, fill] = victim->second;
      for (size_t i = 0; i < size; ++i) ASSERT_EQ(arena.at(victim->first)[i], fill);
      arena.release(victim->first);
      live.erase(victim);
    }
  }
  for (const auto& [ref, entry] : live) arena.release(ref);
  EXPECT_EQ(arena.bytes_live(), 0u);
}

TEST(Arena, ReleasedBlocksAreUsedAgain) {
  Arena arena = make_arena();
  const Ref first = arena.allocate(100);
  arena.release(first);
  EXPECT_EQ(arena.allocate(100), first);
}

TEST(Arena, RefusesWhatIsTooLargeAndTakesTheLargest) {
  Arena arena = make_arena();
  EXPECT_EQ(arena.allocate(Arena::kBlockBytesMax + 1), kNull);
  const Ref largest = arena.allocate(Arena::kBlockBytesMax);
  ASSERT_NE(largest, kNull);
  arena.at(largest)[Arena::kBlockBytesMax - 1] = 'x';
  arena.release(largest);
}

class ArenaFile : public testing::Test {
 protected:
  size_t file_bytes() const {
    struct stat status {};
    fstat(arena_.descriptor(), &status);
    return static_cast<size_t>(status.st_blocks) * 512;
  }
  std::vector<Ref> fill(size_t count, size_t bytes) {
    std::vector<Ref> refs;
    for (size_t i = 0; i < count; ++i) {
      refs.push_back(arena_.allocate(bytes));
      memset(arena_.at(refs.back()), 1, bytes);
    }
    return refs;
  }
  void release(const std::vector<Ref>& refs) {
    for (const Ref ref : refs) arena_.release(ref);
  }

  Arena arena_ = Arena::map(UniqueFd(memfd_create("arena-test", MFD_CLOEXEC)), 16).value();
};

TEST_F(ArenaFile, EmptiedSpansGoBackToTheKernel) {
  for (const size_t bytes : {16'000, 100'000}) {
    const std::vector<Ref> refs = fill(60'000'000 / bytes, bytes);
    EXPECT_GT(file_bytes(), 60'000'000u);
    release(refs);
    EXPECT_GT(file_bytes(), 30'000'000u) << "not at once";
    for (uint32_t tick = 0; tick < 5 * Arena::kTrimsPerWindow; ++tick) arena_.trim();
    EXPECT_LT(file_bytes(), 1'000'000u) << "in the end, all of it";
  }
}

TEST_F(ArenaFile, WhatIsNeededAgainAndAgainStays) {
  const size_t bytes = 100'000;
  release(fill(20, bytes));
  const size_t once = file_bytes();
  EXPECT_GT(once, 20 * bytes);
  for (uint32_t tick = 0; tick < 4 * Arena::kTrimsPerWindow; ++tick) {
    if (tick % 10 == 0) release(fill(15, bytes));
    arena_.trim();
    EXPECT_GT(file_bytes(), 15 * bytes) << "before it is written again";
  }
  EXPECT_LT(file_bytes(), once) << "five were not needed";
}

// Of every order as much as once was needed would be many times that.
TEST_F(ArenaFile, AllThatIsKeptIsLittleMoreThanWhatWasInUse) {
  for (size_t bytes = 60'000; bytes < 40'000'000; bytes *= 2) release(fill(40'000'000 / bytes, bytes));
  EXPECT_LT(file_bytes(), 50'000'000u + Arena::kIdleBytesMax);
}

TEST(Frame, LivesAsLongAsSomebodyHoldsIt) {
  Arena arena = make_arena();
  const Ref frame = make_frame(arena, "hello");
  retain_frame(arena, frame);
  release_frame(arena, frame);
  EXPECT_EQ(std::string_view(frame_bytes(arena, frame).data(), 5), "hello");
  release_frame(arena, frame);
  EXPECT_EQ(arena.bytes_live(), 0u);
}

TEST(TextBlock, ReplacesAndClears) {
  Arena arena = make_arena();
  Ref ref = kNull;
  EXPECT_EQ(text_of(arena, ref), "");
  EXPECT_TRUE(assign_text(arena, ref, "first"));
  EXPECT_TRUE(assign_text(arena, ref, std::string(5'000, 'z')));
  EXPECT_EQ(text_of(arena, ref).size(), 5'000u);
  EXPECT_TRUE(assign_text(arena, ref, ""));
  EXPECT_EQ(ref, kNull);
  EXPECT_EQ(arena.bytes_live(), 0u);
}

TEST(Uid, RoundTripsAndRejects) {
  const uint64_t uid = make_uid(513, 70'000, 0xabcdef);
  EXPECT_EQ(parse_uid(format_uid(uid)), uid);
  EXPECT_EQ(uid_worker(uid), 513);
  EXPECT_EQ(uid_slot(uid), 70'000u);
  for (const char* bad : {"", "123", "000000000000000G", "00000000000000001", "ABCDEF0000000000"}) {
    EXPECT_FALSE(parse_uid(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace beamgate::record
