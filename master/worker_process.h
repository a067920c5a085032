// WorkerProcess: forks one worker, or its keeper, and hands it what it inherits.
//
// The child keeps stdin, stdout, stderr and what stands in the plan, and closes every other descriptor; its
// signals are as signals.h says; it has its title, limits, directory and user before any worker code runs.
// The gate holds it back until its parent has written down that it exists; a parent that dies before takes it along.
// With a keeper (keeper/keeper.h) the child is that, and the worker is its child.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/base/result.h"
#include "common/ipc/handover.h"
#include "master/listen_sockets.h"
#include "master/privileges.h"
#include "master/process_title.h"

namespace beamgate::master {

// The worker's program; its result is the exit status.
using WorkerMain = std::function<int(ipc::Handover&&)>;

struct WorkerPlan {
  uint16_t slot = 0;
  uint16_t worker = 0;
  uint32_t generation = 0;
  std::shared_ptr<const config::Config> config;
  UniqueFd bus;
  UniqueFd arena;
  UniqueFd gate;                                 // A pipe's end; valid: the child does nothing before it has read a byte.
  int log = 2;                                   // Borrowed; 2 is stderr.
  bool stderr_to_log = false;                    // A daemon's worker must not hold the terminal.
  std::vector<ListenSockets::Borrowed> listens;  // Borrowed.
  metrics::Page* metrics = nullptr;
  std::vector<const metrics::Page*> metrics_all;
  ipc::AddressTable* addresses = nullptr;
  ipc::AddressTable* counted_keys = nullptr;
  ipc::RateTable* rates = nullptr;
  ipc::Switches* switches = nullptr;
  ipc::Recent* recent = nullptr;
  uint64_t address_seed = 0;
  bool sandbox = false;
  const tls::TicketKeyPage* tickets = nullptr;
  int64_t started_ms = 0;
  ipc::Life* life = nullptr;                     // As new; null: no keeper.
  Identity identity;
  ProcessTitle* title = nullptr;                 // Null: left as it is.
  std::function<void()> let_go;                  // Called in the child: of what the master holds and it must not keep.
};

ipc::Handover make_handover(WorkerPlan&& plan);

// Returns in the master only.
Result<pid_t> fork_worker(WorkerPlan plan, const WorkerMain& worker_main);

}  // namespace beamgate::master
