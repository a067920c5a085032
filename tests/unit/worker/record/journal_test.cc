// What an open step has changed can be taken back whole, and what it has let go of is still there until then.
#include "worker/record/journal.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <random>
#include <utility>

#include "worker/record/arena.h"
#include "worker/record/record.h"
#include "worker/record/text_block.h"

namespace beamgate::record {
namespace {

class JournalTest : public testing::Test {
 protected:
  JournalTest() : file_(memfd_create("arena", MFD_CLOEXEC)), arena_(map()) {}

  Arena map() { return std::move(Arena::map(UniqueFd(dup(file_.get())), 16)).value(); }
  // What a successor sees: the same memory, nothing of this process.
  Arena successor() { return std::move(Arena::open(UniqueFd(dup(file_.get())))).value(); }
  std::vector<uint32_t> undo(Arena& arena) {
    std::vector<uint32_t> slots;
    EXPECT_TRUE(arena.undo(slots));
    return slots;
  }

  UniqueFd file_;
  Arena arena_;
};

TEST_F(JournalTest, AnOpenStepIsTakenBack) {
  Record& record = arena_.records()[3];
  {
    const Step step(arena_);
    touch(arena_, record);
    record.uid = 7;
  }
  const Step open(arena_);
  touch(arena_, record);
  record.uid = 8;
  record.bytes_sent = 100;
  touch(arena_, record);  // Once per step is enough.
  Arena after = successor();
  EXPECT_EQ(after.records()[3].uid, 8u);
  EXPECT_EQ(undo(after), std::vector<uint32_t>{3});
  EXPECT_EQ(after.records()[3].uid, 7u);
  EXPECT_EQ(after.records()[3].bytes_sent, 0u);
  EXPECT_TRUE(undo(after).empty()) << "once is enough";
}

TEST_F(JournalTest, ACommittedStepStays) {
  {
    const Step step(arena_);
    touch(arena_, arena_.records()[0]);
    arena_.records()[0].uid = 1;
  }
  Arena after = successor();
  EXPECT_TRUE(undo(after).empty());
  EXPECT_EQ(after.records()[0].uid, 1u);
}

TEST_F(JournalTest, OfNestedStepsTheOutermostCommits) {
  Record& record = arena_.records()[0];
  {
    const Step outer(arena_);
    touch(arena_, record);
    record.uid = 1;
    {
      const Step inner(arena_);
      touch_line(arena_, record);
      record.flags = 1;
    }
    Arena after = successor();
    undo(after);
    EXPECT_EQ(record.uid, 0u) << "the same memory";
    record.uid = 2;
  }
  Arena after = successor();
  EXPECT_TRUE(undo(after).empty());
  EXPECT_EQ(record.uid, 2u);
}

TEST_F(JournalTest, PiecesComeBackNewestFirst) {
  const Ref block = arena_.allocate(64);
  memset(arena_.at(block), 'a', 64);
  const Step open(arena_);
  arena_.save(arena_.at(block), 64);
  memset(arena_.at(block), 'b', 64);
  arena_.save(arena_.at(block) + 8, 8);
  memset(arena_.at(block) + 8, 'c', 8);
  Arena after = successor();
  undo(after);
  EXPECT_EQ(std::string(after.look(block, 64), 64), std::string(64, 'a'));
}

TEST_F(JournalTest, WhatAStepReleasesIsNotGivenToAnybodyBeforeItsCommit) {
  const Ref text = make_text(arena_, "the old state");
  {
    const Step step(arena_);
    arena_.release(text);
    for (int i = 0; i < 100; ++i) make_text(arena_, "something new");
    EXPECT_EQ(text_of(arena_, text), "the old state");
  }
  EXPECT_EQ(make_text(arena_, "a newer state"), text) << "now it is free";
}

TEST_F(JournalTest, DescriptorsAreClosedAtTheCommit) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
  const UniqueFd peer(ends[1]);
  char byte;
  {
    const Step step(arena_);
    arena_.journal().close_descriptor(ends[0], true);
    EXPECT_EQ(recv(peer.get(), &byte, 1, 0), -1) << "still open";
  }
  EXPECT_EQ(recv(peer.get(), &byte, 1, 0), 0);
}

TEST_F(JournalTest, BetweenStepsTheTurnIsOne) {
  arena_.journal().open_always();
  Record& record = arena_.records()[0];
  touch(arena_, record);
  record.uid = 5;
  Arena before = successor();
  undo(before);
  EXPECT_EQ(record.uid, 0u);
  record.uid = 6;
  arena_.commit_turn();
  touch(arena_, record);
  record.uid = 7;
  { const Step step(arena_); }  // Commits what came before it.
  Arena after = successor();
  undo(after);
  EXPECT_EQ(record.uid, 7u);
}

TEST_F(JournalTest, ALargeStepGivesItsMemoryBack) {
  const Ref block = arena_.allocate(1 << 20);
  {
    const Step step(arena_);
    for (int i = 0; i < 8; ++i) arena_.save(arena_.at(block), 1 << 20);
  }
  struct stat status {};
  ASSERT_EQ(fstat(file_.get(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 6 << 20);
}

TEST_F(JournalTest, WhatWasSavedOfASecretIsOverwrittenAtTheCommit) {
  const std::string key = "a key of sixteen";
  const Ref block = arena_.allocate(key.size());
  memcpy(arena_.at(block), key.data(), key.size());
  const std::string_view log(arena_.turn_buffer() + Arena::kTurnBytes, 4096);
  {
    const Step step(arena_);
    arena_.save_secret(*arena_.at<std::array<char, 16>>(block));
    arena_.release_secret(block);
    EXPECT_NE(log.find(key), log.npos) << "this is where the log is";
    EXPECT_EQ(std::string(arena_.at(block), key.size()), key);
  }
  EXPECT_EQ(log.find(key), log.npos);
  EXPECT_NE(std::string(arena_.at(block), key.size()), key);
}

// A log that makes no sense is refused, whatever stands in it.
TEST_F(JournalTest, SurvivesDamage) {
  std::mt19937 random(4711);
  for (int round = 0; round < 300; ++round) {
    const Step open(arena_);
    for (uint32_t slot = 0; slot < 4; ++slot) touch(arena_, arena_.records()[slot]);
    Arena after = successor();
    // The journal's head stands in the first page, the log behind the stage.
    char page[4096];
    ASSERT_EQ(pread(file_.get(), page, sizeof page, 0), static_cast<ssize_t>(sizeof page));
    const size_t hit = 32 + random() % 64;
    page[hit] = static_cast<char>(random());
    ASSERT_EQ(pwrite(file_.get(), page + hit, 1, static_cast<off_t>(hit)), 1);
    std::vector<uint32_t> slots;
    static_cast<void>(after.undo(slots));
    page[hit] = 0;
    ASSERT_EQ(pwrite(file_.get(), page + 32, 64, 32), 64);
  }
}

// A log that ends before its step does would put back one half of it.
TEST(JournalLimits, AStepThatHasSavedMoreThanTheLogHoldsIsNotTakenBack) {
  uint64_t base[2] = {1, 2};
  char log[256] = {};
  Journal::Head head;
  Journal journal(&head, log, reinterpret_cast<char*>(base));
  journal.begin();
  journal.save(base[0]);
  base[0] = 10;
  const uint64_t saved = std::exchange(head.bytes, Journal::kBytesMax);
  journal.save(base[1]);
  base[1] = 20;
  head.bytes = saved;
  size_t restored = 0;
  EXPECT_FALSE(journal.undo(sizeof base, [&](uint64_t, uint64_t) { ++restored; }));
  EXPECT_EQ(restored, 0u);
  EXPECT_EQ(base[0], 10u);
  journal.end();
  EXPECT_TRUE(journal.undo(sizeof base, [&](uint64_t, uint64_t) { ++restored; })) << "the commit has emptied it";
  EXPECT_EQ(restored, 0u);
}

TEST_F(JournalTest, NoReferenceIsTrusted) {
  std::vector<Ref> good;
  for (const size_t bytes : {16, 100, 5000, 30000, 70000, 200000}) good.push_back(arena_.allocate(bytes));
  Arena after = successor();
  for (const Ref ref : good) EXPECT_NE(after.look(ref, 16), nullptr);
  EXPECT_EQ(after.look(good[0], 17), nullptr);
  EXPECT_EQ(after.look(good[5], 300000), nullptr);
  EXPECT_EQ(after.look(kNull, 1), nullptr);
  EXPECT_EQ(after.look(1, 1), nullptr) << "the header is no block";
  EXPECT_EQ(after.look(UINT32_MAX, 1), nullptr);
  EXPECT_EQ(after.look(good[1] + 1, 100), nullptr) << "within a block";
  std::mt19937 random(7);
  for (int i = 0; i < 100'000; ++i) after.look(static_cast<Ref>(random()), random() % 4096);
}

TEST_F(JournalTest, AnotherFileIsNoArena) {
  UniqueFd other(memfd_create("other", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(other.get(), 1 << 20), 0);
  EXPECT_FALSE(Arena::open(std::move(other)).ok());
}

}  // namespace
}  // namespace beamgate::record
