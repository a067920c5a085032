#include "worker/life_line.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/ipc/robust_word.h"

namespace beamgate {
namespace {

// Signal handlers get no argument of ours.
ipc::Life* watched_life = nullptr;
pid_t watched_thread = 0;

// A handler may run when the thread's own stack is used up.
alignas(16) char handler_stack[64 << 10];

int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000 + now.tv_nsec / 1'000'000;
}

// The directory has a subdirectory for each thread, and two links of its own.
bool is_alone() {
  struct stat tasks {};
  return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 3;
}

void wait_for_release(ipc::Life& life) {
  const auto self = static_cast<uint32_t>(watched_thread);
  const int64_t end_ms = now_ms() + LifeLine::kParkMs;
  for (int64_t left_ms = LifeLine::kParkMs; left_ms > 0; left_ms = end_ms - now_ms()) {
    const uint32_t released = life.released.load();
    if (released == self) return;
    ipc::wait_word(life.released, released, left_ms);
  }
}

void on_crash(int number) {
  ipc::Life* life = watched_life;
  if (life != nullptr && gettid() == watched_thread) {
    int32_t alive = ipc::kDeathKilled;
    life->death.compare_exchange_strong(alive, number);  // The watchdog may have said already why.
    if (is_alone()) {
      ipc::announce_death(life->worker_word);
      wait_for_release(*life);
    }
  }
  // Taken as soon as this returns, where it happened: that is what a core file shall show.
  signal(number, SIG_DFL);
  syscall(SYS_tgkill, getpid(), gettid(), number);
}

}  // namespace

LifeLine::LifeLine(ipc::Life* life) : life_(life) {
  if (life_ == nullptr) return;
  BG_ASSERT(watched_life == nullptr);
  watched_life = life_;
  watched_thread = gettid();
  stack_t stack{};
  stack.ss_sp = handler_stack;
  stack.ss_size = sizeof handler_stack;
  sigaltstack(&stack, &old_stack_);
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = SA_ONSTACK;
  sigfillset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &old_actions_[i]);
}

LifeLine::~LifeLine() {
  if (life_ == nullptr) return;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &old_actions_[i], nullptr);
  sigaltstack(&old_stack_, nullptr);
  watched_life = nullptr;
}

}  // namespace beamgate
