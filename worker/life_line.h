// LifeLine: what a worker tells its keeper: that it lives, serves, leaves or dies, and what a successor inherits.
//
// Owner      worker_main, for as long as the worker runs; at most one per process.  Without a Life nothing is told.
// Thread     The loop's thread, which is the one the keeper watches.
// Crashes    SEGV, BUS, ILL, FPE and ABRT of this thread are told to the keeper; then the thread waits, at most
//            kParkMs, until a successor has started, so that writing a core file keeps no client waiting.  While
//            there are other threads it does not wait: they would go on to use descriptors that are the
//            successor's by then.  A crash of another thread ends the process as it always does, and blames nobody.
#pragma once

#include <array>
#include <csignal>
#include <cstdint>

#include "common/ipc/life.h"

namespace beamgate {

class LifeLine {
 public:
  static constexpr int64_t kParkMs = 3'000;

  explicit LifeLine(ipc::Life* life);
  ~LifeLine();
  LifeLine(const LifeLine&) = delete;
  LifeLine& operator=(const LifeLine&) = delete;

  void heartbeat(int64_t now_ms) {
    if (life_ != nullptr) life_->heartbeat_ms.store(now_ms, std::memory_order_relaxed);
  }
  void set_watchdog(int64_t limit_ms) {
    if (life_ != nullptr) life_->watchdog_ms = limit_ms;
  }
  void set_serving() {
    if (life_ != nullptr) life_->serving = true;
  }
  void set_leaving() {
    if (life_ != nullptr) life_->leaving = true;
  }
  // What is named here must stay open until something else is inherited.
  void inherit(const ipc::Inheritance& inheritance) {
    if (life_ != nullptr) life_->inherit(inheritance);
  }

 private:
  static constexpr std::array kSignals = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

  ipc::Life* const life_;
  stack_t old_stack_{};
  struct sigaction old_actions_[kSignals.size()] = {};
};

}  // namespace beamgate
