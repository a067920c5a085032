// AddressTable: the limit holds over slots and processes, a dead slot's counts go, a full table lets clients
// in uncounted.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "common/ipc/address_table.h"

namespace beamgate::ipc {
namespace {

auto make_table(uint16_t slots = 4) { return std::move(AddressTable::create(slots)).value(); }

TEST(AddressTable, CountsOverSlotsUpToTheLimit) {
  const auto table = make_table();
  const auto first = table->try_acquire(0, 77, 2);
  const auto second = table->try_acquire(3, 77, 2);
  EXPECT_TRUE(first.admitted && second.admitted);
  EXPECT_FALSE(table->try_acquire(1, 77, 2).admitted);
  EXPECT_TRUE(table->try_acquire(1, 78, 2).admitted);
  EXPECT_EQ(table->count(77), 2u);
  table->release(3, second.entry);
  EXPECT_EQ(table->count(77), 1u);
  EXPECT_TRUE(table->try_acquire(1, 77, 2).admitted);
}

TEST(AddressTable, DropsADeadSlotAndNothingElse) {
  const auto table = make_table();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(table->try_acquire(1, 9, 100).admitted);
  ASSERT_TRUE(table->try_acquire(2, 9, 100).admitted);
  table->drop_slot(1);
  EXPECT_EQ(table->count(9), 1u);
  table->drop_slot(3);  // Never used.
  EXPECT_EQ(table->count(9), 1u);
}

TEST(AddressTable, IsSharedWithAForkedProcess) {
  const auto table = make_table();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(table->try_acquire(1, 5, 10).admitted ? 0 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(table->count(5), 1u);
}

// Keys that differ by kEntries share their places.
TEST(AddressTable, WhenFullAdmitsUncountedAndReusesWhatBecomesIdle) {
  const auto table = make_table();
  std::vector<AddressTable::Admission> held;
  for (uint64_t i = 1; i <= AddressTable::kProbesMax; ++i) {
    held.push_back(table->try_acquire(0, i * AddressTable::kEntries, 1));
    ASSERT_NE(held.back().entry, AddressTable::kUncounted);
  }
  const uint64_t late = 1'000 * uint64_t{AddressTable::kEntries};
  for (int i = 0; i < 3; ++i) {
    const auto uncounted = table->try_acquire(0, late, 1);
    EXPECT_TRUE(uncounted.admitted);
    EXPECT_EQ(uncounted.entry, AddressTable::kUncounted);
    table->release(0, uncounted.entry);  // Ignored.
  }
  table->release(0, held[5].entry);
  EXPECT_EQ(table->try_acquire(1, late, 1).entry, held[5].entry);
  EXPECT_FALSE(table->try_acquire(0, late, 1).admitted);
}

TEST(AddressTable, ReservedKeysAreKeysToo) {
  const auto table = make_table();
  for (const uint64_t key : {uint64_t{0}, UINT64_MAX, UINT64_MAX - 1}) {
    const auto admission = table->try_acquire(0, key, 10);
    EXPECT_TRUE(admission.admitted);
    EXPECT_NE(admission.entry, AddressTable::kUncounted);
  }
}

TEST(AddressTable, NoCountIsLostUnderContention) {
  const auto table = make_table();
  std::vector<std::thread> workers;
  for (uint16_t slot = 0; slot < 4; ++slot) {
    workers.emplace_back([&table, slot] {
      for (uint64_t i = 0; i < 20'000; ++i) {
        // 64 keys for 32 places: entries are taken over all the time.
        const uint64_t key = (1 + (i * 7 + slot) % 64) * AddressTable::kEntries;
        const auto admission = table->try_acquire(slot, key, 1'000);
        table->release(slot, admission.entry);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (uint64_t i = 1; i <= 64; ++i) EXPECT_EQ(table->count(i * AddressTable::kEntries), 0u);
}

}  // namespace
}  // namespace beamgate::ipc
