// How a dying worker tells its keeper: every kind of crash, on a thread that is alone and on one that is not.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <functional>
#include <thread>

#include "common/base/clock.h"
#include "common/ipc/robust_word.h"
#include "worker/life_line.h"

namespace beamgate {
namespace {

constexpr int64_t kPatienceMs = 20'000;

int overflow(volatile char* above) {
  volatile char here[4096];
  here[0] = above[0];
  if (here[0] == 1) return 0;  // It never is, but a compiler would complain.
  return overflow(here) + here[0];
}

void touch_nothing() {
  volatile uintptr_t nowhere = 8;
  *reinterpret_cast<volatile int*>(nowhere) = 1;
}

class LifeLineTest : public testing::Test {
 protected:
  LifeLineTest() {
    void* memory =
        mmap(nullptr, sizeof(ipc::Life), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    life_ = new (memory) ipc::Life();
  }
  ~LifeLineTest() override {
    if (child_ > 0) kill(child_, SIGKILL), waitpid(child_, nullptr, 0);
    munmap(life_, sizeof(ipc::Life));
  }

  void run(const std::function<void()>& die) {
    child_ = fork();
    ASSERT_GE(child_, 0);
    if (child_ != 0) return;
    const rlimit no_core{};
    setrlimit(RLIMIT_CORE, &no_core);
    ipc::own(life_->worker_word);
    LifeLine life_line(life_);
    die();
    _exit(0);
  }

  bool died() {
    const int64_t end_ms = monotonic_ms() + kPatienceMs;
    for (uint32_t word = life_->worker_word; !ipc::owner_died(word); word = life_->worker_word) {
      if (monotonic_ms() > end_ms) return false;
      ipc::wait_word(life_->worker_word, word, kPatienceMs);
    }
    return true;
  }

  void release() {
    life_->released = static_cast<uint32_t>(child_);
    ipc::wake_word(life_->released);
  }

  // It tells how it dies, waits, and dies of the same.
  void expect_parked_crash(int number) {
    ASSERT_TRUE(died());
    EXPECT_EQ(life_->death, number);
    EXPECT_EQ(waitpid(child_, nullptr, WNOHANG), 0) << "not parked";
    release();
    int status = 0;
    EXPECT_EQ(waitpid(child_, &status, 0), child_);
    child_ = 0;
    EXPECT_TRUE(WIFSIGNALED(status)) << status;
    EXPECT_EQ(WTERMSIG(status), number);
  }

  ipc::Life* life_ = nullptr;
  pid_t child_ = 0;
};

TEST_F(LifeLineTest, TellsOfACrashAndWaits) {
  const std::pair<int, std::function<void()>> ways[] = {
      {SIGSEGV, touch_nothing},
      {SIGSEGV,
       [] {
         char begin = 0;
         overflow(&begin);
       }},
      {SIGABRT, [] { abort(); }},
      {SIGABRT, [] { std::terminate(); }},
      {SIGFPE, [] { raise(SIGFPE); }},
      {SIGBUS, [] { raise(SIGBUS); }},
      {SIGILL, [] { __builtin_trap(); }},
  };
  for (const auto& [number, die] : ways) {
    new (life_) ipc::Life();
    run(die);
    expect_parked_crash(number);
  }
}

TEST_F(LifeLineTest, TheWatchdogsReasonStays) {
  life_->death = ipc::kDeathWatchdog;
  run([] { abort(); });
  ASSERT_TRUE(died());
  EXPECT_EQ(life_->death, ipc::kDeathWatchdog);
}

TEST_F(LifeLineTest, DoesNotWaitForEver) {
  const int64_t start_ms = monotonic_ms();
  run([] { abort(); });
  int status = 0;
  EXPECT_EQ(waitpid(child_, &status, 0), child_);
  child_ = 0;
  EXPECT_EQ(WTERMSIG(status), SIGABRT);
  EXPECT_GE(monotonic_ms() - start_ms, LifeLine::kParkMs - 1);
}

TEST_F(LifeLineTest, WithOtherThreadsItDiesAtOnce) {
  run([] {
    std::thread([] {
      for (;;) pause();
    }).detach();
    touch_nothing();
  });
  ASSERT_TRUE(died());
  EXPECT_EQ(life_->death, SIGSEGV);
  int status = 0;
  EXPECT_EQ(waitpid(child_, &status, 0), child_) << "nobody released it";
  child_ = 0;
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
}

TEST_F(LifeLineTest, AnotherThreadsCrashBlamesNobody) {
  run([] { std::thread(touch_nothing).join(); });
  ASSERT_TRUE(died());
  EXPECT_EQ(life_->death, ipc::kDeathKilled);
}

TEST_F(LifeLineTest, SigkillNeedsNoHandler) {
  run([] {
    for (;;) pause();
  });
  while (life_->worker_word == 0) ipc::wait_word(life_->worker_word, 0, 1);
  kill(child_, SIGKILL);
  ASSERT_TRUE(died());
  EXPECT_EQ(life_->death, ipc::kDeathKilled);
}

TEST_F(LifeLineTest, WhatIsInheritedIsTheOldOrTheNew) {
  LifeLine life_line(life_);
  ipc::Inheritance next;
  for (int i = 0; i < 5; ++i) {
    const ipc::Inheritance& before = life_->inherited();
    next.arena = i;
    life_line.inherit(next);
    EXPECT_EQ(life_->inherited().arena, i);
    EXPECT_NE(&life_->inherited(), &before);
    EXPECT_EQ(before.arena, i - 1);
  }
  life_line.heartbeat(77);
  life_line.set_serving();
  life_line.set_leaving();
  EXPECT_EQ(life_->heartbeat_ms, 77);
  EXPECT_TRUE(life_->serving && life_->leaving);
}

TEST_F(LifeLineTest, WithoutALifeNothingIsTold) {
  LifeLine life_line(nullptr);
  life_line.heartbeat(1);
  life_line.set_serving();
  life_line.set_leaving();
  life_line.inherit({});
}

}  // namespace
}  // namespace beamgate
