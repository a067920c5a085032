// Keeper: the small process of a worker slot that holds the worker's descriptors and starts its successors.
//
//   master -- fork --> keeper -- clone, same descriptors --> standby
//                             -- clone, same descriptors --> worker, successor, successor, ...
//
// The standby waits for the keeper's death, becomes the keeper and makes itself a standby; the worker goes on and
// does not notice.  Both wait on futexes in ipc::Life and need no descriptor of their own for what they do.
// Owner      A process of its own; run() does not return.
// Thread     One; no library that starts threads may be used before a clone.
// Ends       With the worker's status when that left on purpose, or when Restarts gives up: as the last process of
//            the slot, unless it was the standby.
// Errors     Where keepers can't be had (clone.h), workers are forked without one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "common/ipc/life.h"
#include "common/log/log.h"
#include "master/keeper/restarts.h"
#include "master/keeper/watchdog.h"
#include "master/worker_process.h"

namespace beamgate::master {

class Keeper {
 public:
  static constexpr int64_t kLookMs = 250;        // Between two looks at what no futex tells.
  static constexpr int64_t kRegisterMs = 5'000;  // A cloned worker that has not begun by then is dead.
  static constexpr int64_t kCloneAgainMs = 100;
  static constexpr int64_t kLeaveMs =
      30'000;  // A worker that leaves may take this long from its last tick on.

  // REQUIRES: plan.life, plan.listens.size() <= ipc::Inheritance::kListensMax; user, limits and descriptors are
  // the worker's already.
  Keeper(WorkerPlan plan, const WorkerMain& worker_main);

  [[noreturn]] void run();

 private:
  enum class Start : uint8_t { First, Successor, Fresh };

  [[noreturn]] void keep();
  [[noreturn]] void stand_by();
  [[noreturn]] void run_worker(Start how);
  [[noreturn]] void end();

  void inherit_plan();
  void reserve_descriptors();
  void start_standby();
  void start_worker(Start how);
  ipc::Handover successor_handover(Start how, int32_t death);
  void let_go();
  void take_configuration(ipc::Handover& handover);

  bool worker_is_dead(uint32_t word);
  void on_worker_death();
  void watch_worker();
  void reap();
  void set_title(const char* title);
  log::Log& log();

  WorkerPlan plan_;
  const WorkerMain& worker_main_;
  ipc::Life& life_;
  log::Log log_;
  const std::string log_path_;
  const log::Level log_level_;
  Restarts restarts_;
  Watchdog watchdog_;
  pid_t standby_ = 0;  // Our child; 0: there is none.
  pid_t worker_ = 0;   // The same, when it is our child.
  bool worker_reaped_ = false;
  int worker_status_ = 0;   // As waitpid() tells it.
  int64_t started_ms_ = 0;  // The last clone of a worker, or the keeper's own beginning.
};

}  // namespace beamgate::master
