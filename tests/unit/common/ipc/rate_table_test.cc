// Rates over all workers: what is let through in a time is burst and rate, whoever counts it; a table that is full forgets
// those that came longest ago.
#include "common/ipc/rate_table.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <new>

namespace beamgate::ipc {
namespace {

class RateTableTest : public testing::Test {
 protected:
  RateTableTest() {
    void* memory = mmap(nullptr, sizeof(RateTable), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EXPECT_NE(memory, MAP_FAILED);
    table_ = static_cast<RateTable*>(memory);
  }
  ~RateTableTest() override { munmap(table_, sizeof(RateTable)); }

  int admitted(uint64_t key, int requests, int64_t now_ms) {
    int count = 0;
    for (int i = 0; i < requests; ++i) count += table_->take(window_, key, rate_, now_ms).admitted;
    return count;
  }

  RateTable* table_ = nullptr;
  RateTable::Window window_ = RateTable::window("zone", 1 << 20);
  RateTable::Rate rate_{.per_second_milli = 10'000, .burst_milli = 5'000};
};

TEST_F(RateTableTest, ABurstAndThenTheRate) {
  EXPECT_EQ(admitted(7, 100, 1'000'000), 6) << "one, and a burst of five";
  EXPECT_EQ(admitted(7, 100, 1'000'099), 0);
  EXPECT_EQ(admitted(7, 100, 1'000'100), 1);
  EXPECT_EQ(admitted(7, 100, 1'000'400), 3);
  EXPECT_EQ(admitted(7, 100, 2'000'000), 6) << "all of it has drained, and no more";
  EXPECT_EQ(admitted(8, 100, 2'000'000), 6) << "another key has its own";
}

TEST_F(RateTableTest, ExcessTellsTheDelay) {
  EXPECT_EQ(table_->take(window_, 7, rate_, 1'000).excess_milli, 0u);
  EXPECT_EQ(table_->take(window_, 7, rate_, 1'000).excess_milli, 1'000u);
  EXPECT_EQ(table_->take(window_, 7, rate_, 1'050).excess_milli, 1'500u);
}

TEST_F(RateTableTest, LookingCountsNothing) {
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(table_->look(window_, 7, rate_, 1'000).admitted);
  EXPECT_EQ(admitted(7, 100, 1'000), 6);
  EXPECT_FALSE(table_->look(window_, 7, rate_, 1'000).admitted);
  EXPECT_EQ(admitted(7, 100, 1'100), 1);
}

TEST_F(RateTableTest, ARefusedRequestCostsNothing) {
  EXPECT_EQ(admitted(7, 6, 1'000), 6);
  EXPECT_EQ(admitted(7, 1'000, 1'000), 0);
  EXPECT_EQ(admitted(7, 1, 1'100), 1);
}

TEST_F(RateTableTest, AnotherWorkersClockMayBeAhead) {
  EXPECT_EQ(admitted(7, 6, 5'000), 6);
  EXPECT_EQ(admitted(7, 6, 4'990), 0);
  EXPECT_EQ(admitted(7, 6, 5'100), 1);
}

TEST_F(RateTableTest, AFullZoneForgetsWhoCameLongestAgo) {
  window_ = RateTable::window("small", 4 * RateTable::kEntryBytes);
  const auto key = [](uint64_t number) { return number * 0x9e3779b97f4a7c15u; };  // As a hash is: in every bit.
  for (uint64_t i = 1; i <= 4; ++i) EXPECT_EQ(admitted(key(i), 100, 1'000 + static_cast<int64_t>(i)), 6);
  EXPECT_EQ(admitted(key(5), 100, 1'010), 6) << "takes the place of 1";
  EXPECT_EQ(admitted(key(4), 100, 1'011), 0);
  EXPECT_EQ(admitted(key(1), 100, 1'012), 6) << "is new again";
}

TEST_F(RateTableTest, ZonesThatOverlapDoNotShareKeys) {
  const RateTable::Window all = RateTable::window("all", uint64_t{1} << 30);
  EXPECT_EQ(all.places, RateTable::kEntries);
  EXPECT_EQ(admitted(7, 100, 1'000), 6);
  EXPECT_TRUE(table_->take(all, 9, rate_, 1'000).admitted);
  EXPECT_EQ(RateTable::window("tiny", 1).places, 1u);
}

TEST_F(RateTableTest, ProcessesCountTogether) {
  constexpr int kProcesses = 4;
  rate_.burst_milli = 1'000'000;
  pid_t children[kProcesses];
  auto* total = static_cast<std::atomic<int>*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (pid_t& child : children) {
    child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (int i = 0; i < 1'000; ++i) {
        if (table_->take(window_, 7, rate_, 1'000).admitted) total->fetch_add(1);
      }
      _exit(0);
    }
  }
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  // Eight attempts that all meet another process's are let through uncounted; that is next to never.
  EXPECT_GE(total->load(), 1'001);
  EXPECT_LE(total->load(), 1'010);
  munmap(total, 4096);
}

}  // namespace
}  // namespace beamgate::ipc
