#include "master/master.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "common/base/capabilities.h"
#include "common/base/clock.h"
#include "common/config/log_files.h"
#include "common/crypto/crypto.h"
#include "master/keeper/clone.h"
#include "master/notify.h"
#include "master/system_check.h"

namespace beamgate::master {
namespace {

constexpr int64_t kTickMs = 1'000;

// The master holds a socket per listen and worker: as many descriptors as the system lets it have.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Master::Master(std::shared_ptr<const config::Config> config, MasterOptions options)
    : config_(std::move(config)),
      options_(std::move(options)),
      log_("master"),
      bus_(loop_, log_, *this),
      supervisor_(loop_, log_, *this),
      reload_(loop_, *this),
      moves_(loop_, log_, *this),
      resize_(loop_, log_, moves_, *this),
      upgrade_(loop_, log_, *this),
      takeover_(loop_, log_, moves_, *this),
      repair_(loop_, log_, moves_, *this) {}

Master::~Master() {
  if (signal_watch_) loop_.unwatch(*signal_watch_);
  while (!strangers_.empty()) forget_stranger(strangers_.begin()->first);
}

bool Master::start() {
  if (begin()) return true;
  exit_status_ = 1;
  if (signals_) stop(false);
  return signals_ != nullptr;
}

int Master::serve() {
  for (const auto& step : std::exchange(first_, {})) step();
  if (supervisor_.alive() > 0 || !stopping_) loop_.run();
  if (const uint64_t events = stopping_ ? bus_.untold() : 0; events > 0) {
    log_.error("webhook_events_lost", {{"at_least", events}});
  }
  notify_systemd("STOPPING=1");
  log_.notice("exited", {{"status", exit_status_}});
  return exit_status_;
}

// Until the log is known to be read, people look at stderr.
bool Master::fail(const char* event, const std::string& what, const Error& error) {
  log_.write(log::Level::Emerg, event, {{"what", what}, {"error", error.message()}});
  if (!serving_ && log_.descriptor() != 2) {
    log::Log stderr_log("master");
    stderr_log.write(log::Level::Emerg, event, {{"what", what}, {"error", error.message()}});
  }
  return false;
}

uint16_t Master::slots_wanted(const config::Config& config) const {
  const uint32_t asked = config.master_process ? std::max<uint32_t>(config.worker_processes, 1) : 1;
  return static_cast<uint16_t>(std::min<uint32_t>(asked, ipc::kWorkersMax));
}

bool Master::begin() {
  const config::Config& config = *config_;
  if (auto opened = log_.open(config.error_log_path, config.error_log_level); !opened.ok()) {
    return fail("error_log_failed", config.error_log_path, opened.error());
  }
  auto identity = find_identity(config.user, config.group);
  if (!identity.ok()) return fail("user_unknown", config.user + ' ' + config.group, identity.error());
  identity_ = identity.value();
  if (!config.user.empty() && !identity_.change) log_.warn("user_ignored", {{"reason", "the master is not root"}});
  if (!config.master_process) log_.notice("master_process_off", {{"workers", 1}});
  if (config.daemon) {
    if (auto detached = daemon_.detach(); !detached.ok()) return fail("daemon_failed", "", detached.error());
  }
  if (options_.title != nullptr) options_.title->set("master process " + options_.title->command_line());
  if (auto prepared = prepare_process(); !prepared.ok()) return fail("start_failed", "", prepared.error());
  const uint16_t slots = slots_wanted(config);
  auto failure = listens_.prepare(config, slots);
  if (!failure) failure = listens_.commit();
  if (failure) return fail("bind_failed", failure->address, failure->error);
  slots_listening_ = slots;
  if (!config.pid_path.empty()) {
    auto pid_file = PidFile::create(config.pid_path, kProgram);
    if (!pid_file.ok()) {
      const auto holder = PidFile::read_living(config.pid_path, kProgram);
      const std::string who = holder.ok() ? " (process " + std::to_string(holder.value()) + ')' : "";
      return fail("pid_file_failed", config.pid_path + who, pid_file.error());
    }
    pid_file_ = std::move(pid_file).value();
  }
  in_force_ = config::restart_settings(config.dump);
  provide_access_logs();
  adopt_settings(config);
  check_system();
  start_keeper();
  supervisor_.want(SlotSet::first(slots));
  return exit_status_ == 0;
}

Result<void> Master::prepare_process() {
  raise_file_limit();
  // Over an exec of another binary we keep what we have; nothing that is executed, and no child, shall get more.
  if (auto forbidden = forbid_new_privileges(); !forbidden.ok()) {
    log_.warn("no_new_privileges_unavailable", {{"reason", forbidden.error().message()}});
  }
  // Started into a PID namespace by somebody outside of it, it has a group without a name here; what is ours is known
  // by it (is_ours()).
  if (getpgrp() == 0 && setpgid(0, 0) != 0) log_.warn("no_process_group", {{"error", system_error("setpgid").message()}});
  // A keeper's death makes its worker and standby ours.
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (config_->worker_keeper) {
    const std::string reason = why_no_keeper();
    keepers_ = reason.empty();
    if (!keepers_) log_.warn("keeper_unavailable", {{"reason", reason}});
  }
  address_seed_ = crypto::random_u64();
  started_ms_ = wall_ms();
  if (!pages_) {
    auto pages = SharedPages::create();
    if (!pages.ok()) return pages.error();
    pages_ = std::move(pages).value();
  }
  log_.set_on_lost([this] { pages_->metrics_of_master().add(metrics::Metric::ErrorLogLinesLost); });
  log_.set_on_line([this](log::Level level, std::string_view text) {
    if (level <= log::Level::Warn) pages_->recent().troubles_of_master().add(wall_ms(), getpid(), level, text);
  });
  signals_ = std::make_unique<Signals>();
  auto watch = loop_.watch(signals_->descriptor(), [this](EventLoop::Ready) { on_signals(); });
  if (!watch.ok()) return watch.error();
  signal_watch_ = watch.value();
  loop_.set_turn_end([this] {
    renew_will();
    open_gates();
    bus_.flush();
  });
  tick();
  return {};
}

void Master::tick() {
  bus_.expire(monotonic_ms());
  log_.set_level(pages_->switches().log_level(config_->error_log_level));
  log_.report_repeats();
  for (uint16_t slot = 0; slot < ipc::kSlotsMax; ++slot) {
    if (serves(slot)) pages_->metrics(slot).set(metrics::Metric::BusQueueToWorker, bus_.queued_bytes(slot));
  }
  repair_.dismiss_empty();
  if (pages_->ticket_keys().rotate(wall_ms())) log_.info("ticket_key_made", {});
  tick_timer_ = loop_.after(kTickMs, [this] { tick(); });
}

// Whatever the log's level, the history has it.
void Master::tell(log::Level level, const char* event, log::Fields fields) {
  log_.write(level, event, fields);
  history_.push_back({wall_ms(), 0, getpid(), level, log::text_of(event, fields)});
  const ipc::RecentLines::Line& line = history_.back();
  pages_->recent().history.add(line.time_ms, line.pid, line.level, line.text);
  if (history_.size() > ipc::RecentLines::kLinesMax) history_.pop_front();
  changed();
}

// What it has said once is not said again.
void Master::check_system() {
  const std::vector<std::string> warnings = system_warnings(*config_, read_system_figures(*config_));
  for (const std::string& warning : warnings) {
    const bool is_new = std::find(warned_of_.begin(), warned_of_.end(), warning) == warned_of_.end();
    if (is_new) log_.warn("system_limit", {{"what", warning}});
  }
  warned_of_ = warnings;
}

// What of a configuration the master itself follows.
void Master::adopt_settings(const config::Config& before) {
  const config::Config& config = *config_;
  bus_.follow(config_);
  supervisor_.set_shutdown_timeout(config.worker_shutdown_timeout_ms);
  resize_.set_move_limit(config.worker_shutdown_timeout_ms);
  if (config.error_log_path == before.error_log_path && config.error_log_level == before.error_log_level) return;
  if (auto opened = log_.open(config.error_log_path, config.error_log_level); !opened.ok()) {
    log_.error("error_log_failed", {{"path", config.error_log_path}, {"error", opened.error().message()}});
  }
}

void Master::began_to_serve() {
  serving_ = true;
  for (const std::string& address : listens_.addresses(*config_)) log_.notice("listening", {{"address", address}});
  tell(log::Level::Notice, "ready",
       {{"workers", supervisor_.wanted().size()},
        {"configuration", options_.configuration_name},
        {"error_log", config_->error_log_path},
        {"manual", "beamgate-troubleshooting(7)"}});
  daemon_.ready(log_.descriptor());
  notify_systemd("READY=1\nMAINPID=" + std::to_string(getpid()));
  next_task();
}

// Signals.

void Master::on_signals() {
  changed();
  for (const int number : signals_->take()) on_signal(number);
}

void Master::on_signal(int number) {
  if (number == SIGCHLD) return reap();
  log_.notice("signal", {{"number", number}});
  switch (number) {
    case SIGTERM:
    case SIGINT:
      return stop(false);
    case SIGQUIT:
      return stop(true);
    case SIGHUP:
      return reload();
    case SIGUSR1:
      return reopen_logs();
    case SIGUSR2:
      return upgrade();
    default:
      return;
  }
}

void Master::reap() {
  int status = 0;
  for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
    if (supervisor_.child_exited(pid, status) || upgrade_.child_exited(pid, status) || keeper_exited(pid)) continue;
    log_.info("orphan_ended", {{"child", pid}});
  }
  end_if_done();
}

void Master::stop(bool graceful) {
  if (stopping_fast_ || (stopping_ && graceful)) return;
  if (!stopping_) notify_systemd("STOPPING=1");
  stopping_ = true;
  stopping_fast_ = !graceful;
  bus_.expect_end();
  if (keeper_) keeper_->end();
  log_.notice("stopping", {{"graceful", graceful ? "yes" : "no"}});
  reload_.give_up("the gateway stops");
  upgrade_.cancel();
  takeover_.cancel();
  resize_.cancel();
  repair_.cancel();
  moves_.cancel_all();
  if (cross_timer_) loop_.cancel(*cross_timer_);
  supervisor_.stop_all(graceful);
  // Workers drop their copies; a copy kept here would let clients connect and wait for nobody.
  listens_.close();
  end_if_done();
}

void Master::end_if_done() {
  if (stopping_) {
    if (supervisor_.alive() == 0) loop_.stop();
    return;
  }
  // Sockets of slots that went stay until the last worker that could have drained them has gone.
  const auto columns = static_cast<uint16_t>(slots_wanted(*config_));
  if (slots_listening_ > columns && !reload_.running() && supervisor_.alive_from(columns) == 0) {
    slots_listening_ = columns;
    listens_.trim(slots_listening_);
  }
}

void Master::reopen_logs() {
  if (auto reopened = log_.reopen(); !reopened.ok()) {
    log_.error("error_log_failed", {{"path", config_->error_log_path}, {"error", reopened.error().message()}});
  }
  provide_access_logs();
  send_error_log();
  log_.notice("logs_reopened");
}

// Workers may lack the right to make files where logs are kept.
void Master::provide_access_logs() {
  for (const std::string& path : config::access_log_files(*config_)) {
    if (auto provided = provide_file(identity_, path); !provided.ok()) {
      log_.warn("access_log_failed", {{"path", path}, {"error", provided.error().message()}});
    }
  }
}

void Master::send_error_log() {
  for (uint16_t slot = 0; slot < ipc::kSlotsMax; ++slot) {
    if (supervisor_.state(slot) == WorkerState::Exited) continue;
    ipc::Descriptors descriptors;
    descriptors.emplace_back(fcntl(log_.descriptor(), F_DUPFD_CLOEXEC, 3));
    if (descriptors.back().valid()) bus_.send(slot, ipc::ReopenLogs{}, std::move(descriptors));
  }
}

// Workers.

Result<pid_t> Master::spawn(uint16_t slot) {
  auto ends = ipc::Channel::make_pair();
  if (!ends.ok()) return ends.error();
  UniqueFd arena(memfd_create("beamgate-arena", MFD_CLOEXEC));
  if (!arena.valid()) return system_error("can't make the arena");
  const uint16_t worker = next_worker_++;
  if (next_worker_ == 0) next_worker_ = 1;
  auto plan = plan_for(slot, worker, std::move(ends.value().second), std::move(arena));
  int gate[2];
  if (pipe2(gate, O_CLOEXEC) != 0) return system_error("can't make a pipe");
  plan.gate.reset(gate[0]);
  gates_.emplace_back(gate[1]);
  const auto pid = fork_worker(std::move(plan), options_.worker_main);
  if (!pid.ok()) {
    if (!serving_) exit_status_ = 1;
    return pid;
  }
  if (auto attached = bus_.attach(slot, worker, std::move(ends.value().first)); !attached.ok()) {
    kill(slot, pid.value());  // It would wait for ever; its death is noticed as usual.
    log_.error("bus_attach_failed", {{"error", attached.error().message()}});
  }
  changed();
  count(metrics::Metric::WorkersStarted);
  log_.notice("worker_started", {{"slot", slot}, {"worker", worker}, {"child", pid.value()}});
  reload_.add(slot);
  return pid;
}

WorkerPlan Master::plan_for(uint16_t slot, uint16_t worker, UniqueFd bus, UniqueFd arena) {
  WorkerPlan plan;
  plan.slot = slot;
  plan.worker = worker;
  plan.generation = generation_;
  plan.config = config_;
  plan.sandbox = config_->worker_sandbox;
  plan.bus = std::move(bus);
  plan.arena = std::move(arena);
  plan.log = log_.descriptor();
  plan.stderr_to_log = config_->daemon && plan.log != 2;
  plan.listens = listens_.of_slot(slot);
  plan.metrics = &pages_->metrics(slot);
  plan.metrics_all = pages_->metrics_all();
  plan.addresses = &pages_->addresses();
  plan.counted_keys = &pages_->counted_keys();
  plan.rates = &pages_->rates();
  plan.switches = &pages_->switches();
  plan.recent = &pages_->recent();
  plan.address_seed = address_seed_;
  plan.tickets = &pages_->ticket_keys();
  plan.started_ms = started_ms_;
  if (keepers_) plan.life = &pages_->new_life(slot);
  plan.identity = identity_;
  plan.title = options_.title;
  plan.let_go = [this] { let_go(); };
  return plan;
}

// In a child, which has what it needs: what is replaced by a reload shall not stay in its copy of our memory.
void Master::let_go() {
  config_.reset();
  next_config_.reset();
  bus_.let_go();
  if (keeper_) keeper_->let_go();
}

void Master::tell_stop(uint16_t slot, bool graceful) {
  changed();
  bus_.stop(slot, graceful);
}

void Master::kill(uint16_t slot, pid_t child) {
  ipc::Life& life = pages_->life(slot);
  life.leaving = true;  // First of all: nobody may start a successor any more.
  for (const pid_t pid : {life.worker_pid.load(), life.standby_pid.load(), life.keeper_pid.load()}) {
    if (is_ours(pid)) ::kill(pid, SIGKILL);
  }
  if (child > 0) ::kill(child, SIGKILL);
}

pid_t Master::survivor(uint16_t slot) {
  const pid_t keeper = keeper_of(slot);
  const pid_t worker = pages_->life(slot).worker_pid;
  if (keeper == 0 && !is_ours(worker)) return 0;
  know(slot, keeper != 0 ? keeper : worker);
  if (supervisor_.state(slot) != WorkerState::Draining) {
    count(metrics::Metric::KeepersDied);
    if (keeper == 0) repair_.lost(slot);
  }
  return keeper != 0 ? keeper : worker;
}

void Master::on_serving(uint16_t slot) {
  changed();
  log_.info("worker_ready", {{"slot", slot}});
  if (!serving_ && !stopping_ && supervisor_.all_ready()) began_to_serve();
  resize_.on_serving();
  takeover_.on_serving(slot);
  repair_.on_serving(slot);
}

void Master::on_dead(uint16_t slot) {
  changed();
  forget_stranger(slot);
  bus_.detach(slot);
  pages_->drop_slot(slot);
  reload_.on_dead(slot);
  if (!stopping_) {
    moves_.on_dead(slot);
    resize_.on_dead(slot);
    takeover_.on_dead(slot);
    repair_.on_dead(slot);
    next_task();
  }
  if (serving_ || stopping_) return;
  exit_status_ = 1;
  fail("start_failed", "a worker ended before it served", Error{Code::Unavailable, 0, "see the lines before"});
  // Not from inside the supervisor's own step.
  loop_.after(0, [this] { stop(false); });
}

// Bus.

void Master::on_ready(uint16_t slot, uint32_t generation) {
  if (supervisor_.state(slot) == WorkerState::Ready) {
    // A successor: what its predecessor has agreed to, or was about to do, died with it.
    moves_.on_dead(slot);
    resize_.on_successor();
    takeover_.on_successor(slot);
    repair_.on_successor(slot);
    reload_.on_dead(slot);
    reload_.add(slot);
    if (!reload_.running() && generation != generation_) catch_up(slot);
  }
  supervisor_.worker_ready(slot);
}

// A worker that has missed a Commit gets the configuration in force.
void Master::catch_up(uint16_t slot) {
  const std::vector<ListenSockets::Borrowed> listens = listens_.of_slot(slot);
  if (send_config(slot, generation_, *config_, listens)) bus_.send(slot, ipc::Commit{generation_});
}

void Master::on_prepared(uint16_t slot, const ipc::Prepared& prepared) { reload_.on_prepared(slot, prepared); }

void Master::on_bus_closed(uint16_t slot) {
  changed();
  supervisor_.bus_closed(slot);
}

void Master::on_misbehaved(uint16_t slot, const char* reason) {
  changed();
  count(metrics::Metric::WorkersMisbehaved);
  supervisor_.misbehaved(slot, reason);
}

}  // namespace beamgate::master
