// The master's part of an upgrade: what it leaves to another image, how it executes it, and how one goes on.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "common/base/clock.h"
#include "master/master.h"
#include "master/notify.h"

namespace beamgate::master {

void Master::upgrade() {
  if (stopping_) return;
  repair_.dismiss_retired();
  if (busy() || !twins_are_free()) {
    upgrade_again_ = true;
    log_.notice("upgrade_queued");
    return;
  }
  log_.notice("upgrade_started", {{"binary", options_.program.path}});
  upgrade_.begin(options_.program);
}

// Each worker's successor is started in its twin slot.
bool Master::twins_are_free() const {
  bool free = true;
  supervisor_.wanted().for_each([&](uint16_t slot) { free = free && !lives(slot ^ ipc::kTwin); });
  return free;
}

void Master::upgrade_refused(const std::string& reason) {
  count(metrics::Metric::UpgradesRefused);
  tell(log::Level::Error, "upgrade_failed", {{"reason", reason}});
  next_task();
}

// All but what the bus and the hub know.
HandoverState Master::leave_process() const {
  HandoverState state;
  HandoverState::Process& process = state.process;
  process.generation = generation_;
  process.next_generation = next_generation_;
  process.next_worker = next_worker_;
  process.columns = slots_listening_;
  process.address_seed = address_seed_;
  process.started_ms = started_ms_;
  process.reload_again = reload_again_;
  process.upgrade_again = upgrade_again_;
  process.log = log_.descriptor() == 2 ? -1 : log_.descriptor();
  process.pages = foreign_pages_.valid() ? foreign_pages_.get() : pages_->descriptor();
  process.pages_layout = foreign_pages_.valid() ? foreign_layout_ : SharedPages::layout();
  process.lives = pages_->lives_descriptor();
  process.lives_layout = SharedPages::lives_layout();
  process.config = config_->dump;
  for (uint16_t slot = 0; slot < ipc::kSlotsMax; ++slot) {
    const bool wanted = supervisor_.wanted().contains(slot);
    if (!wanted && !lives(slot)) continue;
    HandoverState::Slot& out = state.slots.emplace_back();
    out.slot = slot;
    out.pid = lives(slot) ? supervisor_.pid(slot) : 0;
    out.state = static_cast<uint8_t>(supervisor_.state(slot));
    out.wanted = wanted;
  }
  for (const auto& line : history_) {
    state.history.push_back({line.time_ms, line.pid, static_cast<uint8_t>(line.level), line.text});
  }
  state.kin.keeper = keeper_ ? keeper_->pid() : 0;
  state.kin.groups.assign(groups_.begin(), groups_.end());
  state.kin.groups.push_back(getpgrp());
  listens_.leave(state);
  return state;
}

HandoverState Master::leave() const {
  HandoverState state = leave_process();
  bus_.leave(state);
  return state;
}

// Executes the other image at a moment when nothing is half said on any bus.
void Master::cross(int64_t until_ms) {
  cross_timer_.reset();
  const bool ready = going_back_ || supervisor_.all_ready();
  if (ready && bus_.settle(kCrossAgainMs)) {
    const Error error = execute_image();
    return cannot_cross(error.message());
  }
  if (monotonic_ms() >= until_ms) return cannot_cross("a worker is not ready or does not read its bus");
  cross_timer_ = loop_.after(kCrossAgainMs, [this, until_ms] { cross(until_ms); });
}

Error Master::execute_image() {
  const HandoverState state = leave();
  auto file = write_file(serialise(state));
  if (!file.ok()) return file.error();
  Inheritance inheritance;
  inheritance.state = std::move(file).value();
  inheritance.came_back = going_back_;
  std::string path = options_.program.path;
  if (going_back_) {
    path = path_of_open(old_binary_);
  } else {
    inheritance.old_binary.reset(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    if (!inheritance.old_binary.valid()) return system_error("can't open the running binary");
  }
  log_.notice("upgrade_executes", {{"binary", path}});
  return execute(path, options_.program.arguments, inheritance, state.descriptors());
}

// Goes on as it was before.
void Master::cannot_cross(const std::string& reason) {
  count(metrics::Metric::UpgradesRefused);
  tell(log::Level::Error, going_back_ ? "upgrade_cannot_go_back" : "upgrade_failed", {{"reason", reason}});
  if (going_back_) {
    going_back_.reset();
    old_binary_.reset();
    foreign_pages_.reset();
  }
  next_task();
}

bool Master::take_over(const HandoverState& state, Inheritance inheritance) {
  old_binary_ = std::move(inheritance.old_binary);
  if (auto adopted = adopt(state); !adopted.ok()) {
    fail("handover_failed", "", adopted.error());
    if (!old_binary_.valid()) return false;
    // What the state names is the same for whoever reads it next.
    inheritance.came_back = "the new binary could not take over: " + adopted.error().message();
    static_cast<void>(execute(path_of_open(old_binary_), options_.program.arguments, inheritance, state.descriptors()));
    return false;
  }
  inheritance.state.reset();
  first_.push_back([this, came_back = inheritance.came_back] {
    if (came_back) {
      return_home(*came_back);
    } else {
      takeover_.begin(supervisor_.wanted(), {config_->worker_shutdown_timeout_ms, config_->upgrade_trial_ms});
    }
    reap();
  });
  return true;
}

void Master::return_home(const std::string& reason) {
  count(metrics::Metric::UpgradesUndone);
  tell(log::Level::Error, "upgrade_failed", {{"reason", reason}});
  notify_systemd("READY=1\nMAINPID=" + std::to_string(getpid()));
  next_task();
}

Result<void> Master::adopt_pages(const HandoverState::Process& process) {
  // Copies: the next reader of the state wants them too, should this one fail.
  UniqueFd lives(fcntl(process.lives, F_DUPFD_CLOEXEC, 3));
  const bool ours = process.pages_layout == SharedPages::layout();
  if (!ours) {
    foreign_pages_.reset(process.pages);
    foreign_layout_ = process.pages_layout;
    log_.notice("metrics_begin_anew", {{"reason", "the binary before had others"}});
  }
  auto pages = ours ? SharedPages::adopt(UniqueFd(fcntl(process.pages, F_DUPFD_CLOEXEC, 3)), std::move(lives))
                    : SharedPages::create_beside(std::move(lives));
  if (!pages.ok()) return pages.error();
  pages_ = std::move(pages).value();
  return {};
}

// Pages that were ours before have some of these lines already, or all.
void Master::adopt_history(const HandoverState& state) {
  ipc::RecentLines& ring = pages_->recent().history;
  const auto there = ring.read();
  const int64_t known_ms = there.empty() ? 0 : there.back().time_ms;
  for (const auto& event : state.history) {
    const auto level = static_cast<log::Level>(event.level);
    history_.push_back({event.time_ms, 0, event.pid, level, std::string(event.text)});
    if (event.time_ms > known_ms) ring.add(event.time_ms, event.pid, level, event.text);
  }
  while (history_.size() > ipc::RecentLines::kLinesMax) history_.pop_front();
}

void Master::adopt_process(const HandoverState::Process& process) {
  generation_ = process.generation;
  next_generation_ = process.next_generation;
  next_worker_ = process.next_worker;
  slots_listening_ = process.columns;
  address_seed_ = process.address_seed;
  started_ms_ = process.started_ms;
  reload_again_ = process.reload_again;
  upgrade_again_ = process.upgrade_again;
}

// After a failure what the state names is still open, for the image that reads it next.
Result<void> Master::adopt(const HandoverState& state) {
  const config::Config& config = *config_;
  auto identity = find_identity(config.user, config.group);
  if (!identity.ok()) return identity.error();
  for (const int descriptor : state.descriptors()) {
    if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) return system_error("a descriptor of the state is not open");
  }
  identity_ = identity.value();
  if (state.process.log >= 0) {
    log_.inherit(UniqueFd(state.process.log), config.error_log_path, config.error_log_level);
  } else if (auto opened = log_.open(config.error_log_path, config.error_log_level); !opened.ok()) {
    return opened.error();
  }
  if (options_.title != nullptr) options_.title->set("master process " + options_.title->command_line());
  if (auto adopted = adopt_pages(state.process); !adopted.ok()) return adopted;
  if (auto prepared = prepare_process(); !prepared.ok()) return prepared;
  signals_->unblock_others();
  adopt_process(state.process);
  adopt_history(state);
  listens_.adopt(state);
  bus_.follow(config_);
  if (auto adopted = bus_.adopt(state); !adopted.ok()) return adopted;
  SlotSet wanted;
  groups_.assign(state.kin.groups.begin(), state.kin.groups.end());
  for (const auto& slot : state.slots) {
    if (slot.wanted) wanted.add(slot.slot);
    if (slot.pid == 0) continue;
    supervisor_.adopt(slot.slot, slot.pid, static_cast<WorkerState>(slot.state));
    know(slot.slot, slot.pid);
    const bool serves = slot.state == static_cast<uint8_t>(WorkerState::Ready);
    if (keepers_ && serves && is_ours(pages_->life(slot.slot).worker_pid) && keeper_of(slot.slot) == 0) repair_.lost(slot.slot);
  }
  if (!config.pid_path.empty()) {
    auto pid_file = PidFile::create(config.pid_path, kProgram);
    if (pid_file.ok()) pid_file_ = std::move(pid_file).value();
    if (!pid_file.ok()) log_.error("pid_file_failed", {{"what", config.pid_path}, {"error", pid_file.error().message()}});
  }
  serving_ = true;
  if (!foreign_pages_.valid()) close(state.process.pages);
  close(state.process.lives);
  in_force_ = config::restart_settings(config.dump);
  adopt_settings(config);
  first_.push_back([this, keeper = state.kin.keeper, wanted] {
    start_keeper();
    dismiss_keeper(keeper);
    supervisor_.want(wanted);
  });
  return {};
}

void Master::start_worker(uint16_t slot) {
  changed();
  SlotSet wanted = supervisor_.wanted();
  wanted.add(slot);
  supervisor_.want(wanted);
}

void Master::dismiss_worker(uint16_t slot) {
  changed();
  supervisor_.dismiss(slot);
}

void Master::discard_worker(uint16_t slot) {
  changed();
  supervisor_.discard(slot);
}

// Clients of a server that works break the protocol now and then; those of one that misreads them all do.
uint64_t Master::faults(uint16_t slot) const {
  return pages_->metrics(slot).get(metrics::Metric::ClosesProtocolError);
}

void Master::taken_over() {
  changed();
  old_binary_.reset();
  foreign_pages_.reset();
  count(metrics::Metric::UpgradesDone);
  tell(log::Level::Notice, "upgraded", {{"workers", supervisor_.wanted().size()}});
  notify_systemd("READY=1\nMAINPID=" + std::to_string(getpid()));
  next_task();
}

void Master::give_back(const std::string& reason) {
  tell(log::Level::Error, "upgrade_undone", {{"reason", reason}});
  going_back_ = reason;
  cross(monotonic_ms() + kCrossMs);
}

}  // namespace beamgate::master
