#include "master/worker_process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "common/ipc/life.h"
#include "common/ipc/sweep.h"
#include "common/log/log.h"
#include "master/keeper/keeper.h"
#include "master/signals.h"

namespace beamgate::master {
namespace {

constexpr int kExitSetupFailed = 2;

void keep_only_plan(const WorkerPlan& plan) {
  std::vector<int> keep = {plan.bus.get(), plan.log};
  if (plan.arena.valid()) keep.push_back(plan.arena.get());
  if (plan.gate.valid()) keep.push_back(plan.gate.get());
  for (const auto& listen : plan.listens) keep.push_back(listen.descriptor);
  ipc::sweep_descriptors(std::move(keep));
}

// False: the parent has died.
bool pass(UniqueFd gate) {
  char byte = 0;
  ssize_t count;
  do {
    count = read(gate.get(), &byte, 1);
  } while (count < 0 && errno == EINTR);
  return count == 1;
}

// What the kernel refuses does not stop the worker: it serves with what it may have, and the log says so.
void set_file_limit(uint64_t descriptors, log::Log& log) {
  if (descriptors == 0) return;
  const rlimit wanted{descriptors, descriptors};
  if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) return;
  const Error refused = system_error("setrlimit");
  rlimit now{};
  getrlimit(RLIMIT_NOFILE, &now);
  now.rlim_cur = std::min<rlim_t>(descriptors, now.rlim_max);
  setrlimit(RLIMIT_NOFILE, &now);
  log.write(log::Level::Alert, "worker_rlimit_nofile_refused",
            {{"wanted", descriptors}, {"have", now.rlim_cur}, {"error", refused.message()}});
}

Result<void> become_worker(const WorkerPlan& plan, log::Log& log) {
  if (plan.stderr_to_log) dup2(plan.log, 2);
  const config::Config& config = *plan.config;
  set_file_limit(config.worker_rlimit_nofile, log);
  if (auto dropped = drop_privileges(plan.identity); !dropped.ok()) return dropped;
  if (!config.working_directory.empty() && chdir(config.working_directory.c_str()) != 0) {
    return system_error("can't change to working_directory");
  }
  return {};
}

[[noreturn]] void run_child(WorkerPlan plan, const WorkerMain& worker_main) {
  Signals::reset_for_child();
  if (plan.let_go) std::exchange(plan.let_go, {})();
  keep_only_plan(plan);
  if (plan.gate.valid() && !pass(std::move(plan.gate))) _exit(0);
  log::Log log("worker");
  if (auto became = become_worker(plan, log); !became.ok()) {
    log.write(log::Level::Emerg, "worker_setup_failed", {{"error", became.error().message()}});
    _exit(kExitSetupFailed);
  }
  if (plan.life != nullptr) Keeper(std::move(plan), worker_main).run();
  if (plan.title != nullptr) plan.title->set("worker process");
  // Not _exit(): leak checkers and coverage write at exit.  The master's objects in this process are never
  // destroyed, since run_child() doesn't return.
  exit(worker_main(make_handover(std::move(plan))));
}

}  // namespace

ipc::Handover make_handover(WorkerPlan&& plan) {
  ipc::Handover handover;
  handover.slot = plan.slot;
  handover.worker = plan.worker;
  handover.generation = plan.generation;
  handover.sandbox = plan.sandbox;
  handover.config = std::move(plan.config);
  handover.bus = std::move(plan.bus);
  handover.arena = std::move(plan.arena);
  if (plan.log != 2) handover.log.reset(plan.log);
  for (const auto& listen : plan.listens) handover.listens.push_back({listen.id, UniqueFd(listen.descriptor)});
  handover.metrics = plan.metrics;
  handover.metrics_all = std::move(plan.metrics_all);
  handover.addresses = plan.addresses;
  handover.counted_keys = plan.counted_keys;
  handover.rates = plan.rates;
  handover.switches = plan.switches;
  handover.recent = plan.recent;
  handover.address_seed = plan.address_seed;
  handover.tickets = plan.tickets;
  handover.life = plan.life;
  handover.started_ms = plan.started_ms;
  return handover;
}

Result<pid_t> fork_worker(WorkerPlan plan, const WorkerMain& worker_main) {
  // What does not fit into a Life can't be handed on.
  if (plan.listens.size() > ipc::Inheritance::kListensMax) plan.life = nullptr;
  const pid_t pid = fork();
  if (pid < 0) return system_error("can't fork a worker");
  if (pid == 0) run_child(std::move(plan), worker_main);
  return pid;
}

}  // namespace beamgate::master
