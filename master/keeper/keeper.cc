#include "master/keeper/keeper.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "common/base/clock.h"
#include "common/base/memory_file.h"
#include "common/base/secret.h"
#include "common/config/load.h"
#include "common/ipc/address_table.h"
#include "common/ipc/robust_word.h"
#include "common/ipc/sweep.h"
#include "master/keeper/clone.h"

namespace beamgate::master {
namespace {

constexpr int64_t kStandbyWaitMs = 10'000;
constexpr int kExitByDefault = 1;

void sleep_ms(int64_t ms) {
  const timespec time{ms / 1'000, (ms % 1'000) * 1'000'000};
  nanosleep(&time, nullptr);
}

bool exists(pid_t pid) {
  return kill(pid, 0) == 0 || errno != ESRCH;
}

// In state T or t of proc(5): somebody has stopped it.
bool is_stopped(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  char text[512];
  const ssize_t got = read(file.get(), text, sizeof text - 1);
  if (got <= 0) return false;
  text[got] = '\0';
  const char* name_end = strrchr(text, ')');
  return name_end != nullptr && (strncmp(name_end, ") T", 3) == 0 || strncmp(name_end, ") t", 3) == 0);
}

const char* cause_of(int32_t death) {
  if (death == ipc::kDeathKilled) return "killed";
  return death == ipc::kDeathWatchdog ? "stuck" : "crashed";
}

int signal_of(int32_t death) {
  if (death == ipc::kDeathKilled) return SIGKILL;
  return death == ipc::kDeathWatchdog ? SIGABRT : death;
}

}  // namespace

Keeper::Keeper(WorkerPlan plan, const WorkerMain& worker_main)
    : plan_(std::move(plan)),
      worker_main_(worker_main),
      life_(*plan_.life),
      log_("keeper"),
      log_path_(plan_.config->error_log_path),
      log_level_(plan_.config->error_log_level) {}

void Keeper::run() {
  signal(SIGTERM, SIG_IGN);  // The slot is told over the bus, and ends with its worker.
  tzset();  // Reads its file now, not when a worker has died.
  life_.watchdog_ms = plan_.config->worker_watchdog_ms;
  inherit_plan();
  reserve_descriptors();
  life_.keeper_pid = getpid();
  ipc::own(life_.keeper_word);
  start_standby();
  start_worker(Start::First);
  keep();
}

// What a successor gets when the first worker dies before it says anything.
void Keeper::inherit_plan() {
  ipc::Inheritance own;
  own.log = plan_.log == 2 ? -1 : plan_.log;
  own.generation = plan_.generation;
  for (const auto& listen : plan_.listens) own.listens[own.listen_count++] = {listen.id, listen.descriptor};
  life_.inherit(own);
}

// A shared table that grows makes all its users wait for the kernel, 16 ms and more: it grows now.
void Keeper::reserve_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  constexpr rlim_t kOthers = 4'096;  // Files, upstream legs, what the loop needs.
  const rlim_t wanted = 2 * rlim_t{plan_.config->worker_connections} + kOthers;
  const int last = static_cast<int>(std::min(limit.rlim_cur - 10, wanted));
  if (last > plan_.bus.get() && dup2(plan_.bus.get(), last) == last) close(last);
}

void Keeper::start_standby() {
  standby_ = clone_sharing_descriptors();
  if (standby_ == 0) stand_by();
  standby_ = std::max(standby_, 0);  // The next look tries again.
}

void Keeper::stand_by() {
  life_.standby_pid = getpid();
  set_title("standby keeper process");
  for (uint32_t word = life_.keeper_word; !ipc::owner_died(word); word = life_.keeper_word) {
    let_go();
    ipc::wait_word(life_.keeper_word, word, kStandbyWaitMs);
  }
  life_.keeper_pid = getpid();
  life_.standby_pid = 0;
  ipc::own(life_.keeper_word);
  worker_ = 0;
  started_ms_ = monotonic_ms();
  start_standby();
  keep();
}

void Keeper::keep() {
  set_title("keeper process");
  for (;;) {
    reap();
    const uint32_t word = life_.worker_word;
    if (worker_is_dead(word)) {
      on_worker_death();
      continue;
    }
    let_go();
    if (standby_ == 0) start_standby();
    watch_worker();
    ipc::wait_word(life_.worker_word, word, kLookMs);
  }
}

// --- Workers.

void Keeper::start_worker(Start how) {
  life_.worker_word = 0;
  for (;;) {
    started_ms_ = monotonic_ms();
    worker_reaped_ = false;
    watchdog_.reset();
    worker_ = clone_sharing_descriptors();
    if (worker_ == 0) run_worker(how);
    if (worker_ > 0) return;
    log().write(log::Level::Alert, "worker_spawn_failed",
                {{"slot", plan_.slot}, {"error", system_error("clone").message()}});
    if (life_.leaving) end();
    sleep_ms(kCloneAgainMs);
  }
}

void Keeper::run_worker(Start how) {
  life_.worker_pid = getpid();
  const int32_t death = life_.death.exchange(ipc::kDeathKilled);
  life_.serving = false;
  life_.exit_status = kExitByDefault;
  life_.heartbeat_ms = monotonic_ms();
  ipc::own(life_.worker_word);
  signal(SIGTERM, SIG_DFL);
  set_title("worker process");
  ipc::Handover handover =
      how == Start::First ? make_handover(std::move(plan_)) : successor_handover(how, death);
  const int status = worker_main_(std::move(handover));
  life_.exit_status = status;
  life_.leaving = true;
  // Not _exit(): leak checkers and coverage write at exit.  What else is in this process is never destroyed.
  exit(status);
}

ipc::Handover Keeper::successor_handover(Start how, int32_t death) {
  ipc::Inheritance from = life_.inherited();
  if (how == Start::Fresh) {
    from.arena = from.poller = -1;
    life_.inherit(from);  // Before they are closed.
  }
  if (from.arena < 0) {  // Nobody else will know what to keep.
    std::vector<int> keep = {plan_.bus.get(), from.log, from.config};
    for (uint32_t i = 0; i < from.listen_count; ++i) keep.push_back(from.listens[i].fd);
    ipc::sweep_descriptors(std::move(keep));
  }
  plan_.arena.release();  // Only a number by now.
  plan_.arena.reset(memfd_create("beamgate-arena", MFD_CLOEXEC));
  plan_.listens.clear();
  plan_.log = from.log < 0 ? 2 : from.log;
  ipc::Handover handover = make_handover(std::move(plan_));
  for (uint32_t i = 0; i < from.listen_count; ++i) {
    handover.listens.push_back({from.listens[i].id, UniqueFd(from.listens[i].fd)});
  }
  handover.config_text.reset(from.config);
  if (from.generation != handover.generation || handover.config == nullptr) take_configuration(handover);
  if (from.arena >= 0) {
    handover.predecessor.emplace(ipc::Predecessor{UniqueFd(from.arena), UniqueFd(from.poller), death});
  } else {
    // Nobody else will take the dead worker's clients off the books.
    metrics::reset_gauges(*handover.metrics);
    if (handover.addresses != nullptr) handover.addresses->drop_slot(handover.slot);
    if (handover.counted_keys != nullptr) handover.counted_keys->drop_slot(handover.slot);
  }
  return handover;
}

// The worker follows another configuration, of which a successor gets the text: the old one has secrets that were to end.
void Keeper::let_go() {
  const ipc::Inheritance& from = life_.inherited();
  if (from.generation != plan_.generation && from.config >= 0) plan_.config.reset();
}

// In a successor.  Without any it ends, and ends its slot when that goes on.
void Keeper::take_configuration(ipc::Handover& handover) {
  const uint32_t generation = life_.inherited().generation;
  config::LoadResult loaded;
  Secret text;
  if (read_memory_file(handover.config_text.get(), config::kTextBytesMax, text).ok()) {
    loaded = config::load_text(text, {.resolve_names = false});
  }
  if (loaded.config == nullptr) {
    log().error("worker_configuration_lost", {{"slot", plan_.slot}, {"generation", generation}});
    if (handover.config == nullptr) exit(kExitByDefault);
    return;
  }
  handover.config = loaded.config;
  handover.generation = generation;
}

// --- The death of a worker.

bool Keeper::worker_is_dead(uint32_t word) {
  if (ipc::owner_died(word) || worker_reaped_) return true;
  // It told nothing, since it has not begun or has overwritten its own list, and it is not our child.
  if (word != 0) return !exists(life_.worker_pid);
  if (monotonic_ms() - started_ms_ < kRegisterMs) return false;
  if (worker_ > 0) kill(worker_, SIGKILL);
  return true;
}

void Keeper::on_worker_death() {
  if (life_.leaving) end();
  const pid_t dead = life_.worker_pid;
  const int32_t death = life_.death;
  const bool served = life_.serving;
  plan_.metrics->add(metrics::Metric::WorkerDeaths);  // Nobody else writes it now.
  log().write(
      log::Level::Alert, "worker_died",
      {{"slot", plan_.slot}, {"pid", dead}, {"signal", signal_of(death)}, {"cause", cause_of(death)}});
  const Restarts::Next next = restarts_.after_death(monotonic_ms(), death != ipc::kDeathKilled, served);
  if (next.verdict == Restarts::Verdict::GiveUp) end();
  if (next.verdict == Restarts::Verdict::Fresh)
    log().error("worker_inherits_nothing", {{"slot", plan_.slot}});
  if (next.delay_ms > 0) sleep_ms(next.delay_ms);
  start_worker(next.verdict == Restarts::Verdict::Fresh ? Start::Fresh : Start::Successor);
  life_.released = static_cast<uint32_t>(dead);
  ipc::wake_word(life_.released);
}

void Keeper::watch_worker() {
  if (life_.worker_word == 0) return;
  const pid_t pid = life_.worker_pid;
  const int64_t limit_ms = life_.leaving ? kLeaveMs : life_.watchdog_ms.load();
  switch (watchdog_.look(monotonic_ms(), life_.heartbeat_ms, limit_ms, [pid] { return is_stopped(pid); })) {
    case Watchdog::Action::None:
      return;
    case Watchdog::Action::Abort: {
      int32_t alive = ipc::kDeathKilled;
      life_.death.compare_exchange_strong(alive, ipc::kDeathWatchdog);
      syscall(SYS_tgkill, pid, pid, SIGABRT);  // The thread that is stuck, no other.
      return;
    }
    case Watchdog::Action::Kill:
      kill(pid, SIGKILL);
      return;
  }
}

void Keeper::reap() {
  int status = 0;
  for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
    if (pid == standby_) standby_ = 0;
    if (pid != worker_) continue;
    worker_reaped_ = true;
    worker_status_ = status;
    worker_ = 0;
  }
}

// The last of the slot, so that the master need not wait for anybody else.
void Keeper::end() {
  life_.leaving = true;
  life_.released = static_cast<uint32_t>(life_.worker_pid.load());
  ipc::wake_word(life_.released);
  if (standby_ > 0) {
    kill(standby_, SIGKILL);
    waitpid(standby_, nullptr, 0);
  }
  if (worker_ > 0 && waitpid(worker_, &worker_status_, 0) == worker_) worker_reaped_ = true;
  if (!worker_reaped_) _exit(life_.exit_status);
  if (WIFEXITED(worker_status_)) _exit(WEXITSTATUS(worker_status_));
  // As a shell tells it: whoever waits for us can't be told a signal without a core file of ours.
  _exit(WIFSIGNALED(worker_status_) ? 128 + WTERMSIG(worker_status_) : kExitByDefault);
}

void Keeper::set_title(const char* title) {
  if (plan_.title != nullptr) plan_.title->set(title);
}

// By the number that is in force now.  Only while no worker lives, which could be closing it.
log::Log& Keeper::log() {
  const int32_t number = life_.inherited().log;
  log_.borrow(number < 0 ? 2 : number, log_path_, log_level_);
  return log_;
}

}  // namespace beamgate::master
