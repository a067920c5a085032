// The master's part of its own death: what it leaves for that, and how another one goes on.
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "master/keeper/clone.h"
#include "master/master.h"
#include "master/notify.h"

namespace beamgate::master {
namespace {

constexpr int64_t kKeeperAgainMs = 1'000;

UniqueFd open_process(pid_t pid) { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

// Not one that has ended and only waits for its parent to notice.
bool runs(pid_t pid) {
  const UniqueFd process = open_process(pid);
  pollfd watched{process.get(), POLLIN, 0};
  return process.valid() && poll(&watched, 1, 0) == 0;
}

bool is_child(pid_t pid) {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

}  // namespace

// What a Life names may have ended long ago and its number be somebody else's; what is ours is in our group, or in
// that of a master before.
bool Master::is_ours(pid_t pid) const {
  if (pid <= 0) return false;
  const pid_t group = getpgid(pid);
  const bool known = group == getpgrp() || std::find(groups_.begin(), groups_.end(), group) != groups_.end();
  return known && runs(pid);
}

// 0: there is none.  The keeper is looked at again, since the standby may just have become it.
pid_t Master::keeper_of(uint16_t slot) const {
  const ipc::Life& life = pages_->life(slot);
  for (const auto* word : {&life.keeper_pid, &life.standby_pid, &life.keeper_pid}) {
    if (const pid_t pid = *word; is_ours(pid)) return pid;
  }
  return 0;
}

// A process that is not our child: its death is told by its descriptor.
void Master::watch_stranger(uint16_t slot, pid_t pid) {
  forget_stranger(slot);
  Stranger& stranger = strangers_[slot];
  stranger.process = open_process(pid);
  const auto died = [this, slot, pid] {
    forget_stranger(slot);
    supervisor_.child_exited(pid, 0);
    changed();
    end_if_done();
  };
  auto watch = loop_.watch(stranger.process.get(), [died](EventLoop::Ready) { died(); });
  if (watch.ok()) {
    stranger.watch = watch.value();
  } else {
    strangers_.erase(slot);
    loop_.after(0, died);  // It has ended already.
  }
}

void Master::forget_stranger(uint16_t slot) {
  const auto found = strangers_.find(slot);
  if (found == strangers_.end()) return;
  loop_.unwatch(found->second.watch);
  strangers_.erase(found);
}

void Master::know(uint16_t slot, pid_t pid) {
  if (!is_child(pid)) watch_stranger(slot, pid);
}

// --- While we live.

// Everything but the hub, which the workers know.
HandoverState Master::will() const {
  HandoverState state = leave_process();
  bus_.leave_ports(state);
  return state;
}

void Master::start_keeper() {
  if (!config_->master_keeper || config_->pid_path.empty() || stopping_) return;
  if (const std::string reason = why_no_keeper(); !reason.empty()) {
    log_.warn("master_keeper_unavailable", {{"reason", reason}});
    return;
  }
  auto keeper = MasterKeeper::start(estate_path(config_->pid_path), serialise(will()), options_.title, [this] { let_go(); });
  if (keeper.ok()) keeper_ = std::move(keeper).value();
  const auto published = keeper.ok() ? keeper_->publish() : Result<void>(keeper.error());
  if (published.ok()) return;
  keeper_.reset();
  log_.warn("master_keeper_unavailable", {{"reason", published.error().message()}});
}

// Before the workers can act upon what this turn has changed.
void Master::renew_will() {
  if (!std::exchange(will_is_stale_, false) || !keeper_) return;
  if (auto renewed = keeper_->renew(serialise(will())); !renewed.ok()) {
    will_is_stale_ = true;
    log_.error("master_keeper_misinformed", {{"error", renewed.error().message()}});
  }
}

// Nobody begins to serve before he is in the will.
void Master::open_gates() {
  for (const UniqueFd& gate : gates_) static_cast<void>(!write(gate.get(), "", 1));
  gates_.clear();
}

bool Master::keeper_exited(pid_t pid) {
  if (!keeper_ || pid != keeper_->pid()) return false;
  log_.warn("master_keeper_died", {{"child", pid}});
  restart_keeper();
  return true;
}

void Master::restart_keeper() {
  if (stopping_ || !keeper_) return;
  if (auto restarted = keeper_->restart(); restarted.ok()) return;
  loop_.after(kKeeperAgainMs, [this] { restart_keeper(); });
}

// The one of an image before us, which holds descriptors that nobody would miss otherwise.
void Master::dismiss_keeper(pid_t pid) {
  if (pid <= 0 || !is_child(pid)) return;
  ::kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
}

// --- In the place of one that was killed.

bool Master::take_place(HandoverState state, Estate estate, std::string_view wanted_config) {
  if (config_->daemon) {
    if (auto detached = daemon_.detach(); !detached.ok()) return fail("daemon_failed", "", detached.error());
  }
  std::vector<int> numbers;
  for (UniqueFd& descriptor : estate.descriptors) numbers.push_back(descriptor.release());
  state.renumber(numbers);
  state.process.reload_again = state.process.reload_again || state.process.config != wanted_config;
  for (auto& slot : state.slots) {
    // Also those that a change of workers was about to dismiss: they may have clients.
    if (slot.state == static_cast<uint8_t>(WorkerState::Ready)) slot.wanted = true;
  }
  if (auto adopted = adopt(state); !adopted.ok()) {
    return fail("handover_failed", "", adopted.error());
  }
  first_.push_back([this, kept = std::make_shared<Estate>(std::move(estate))] {
    kept->accept();
    log_.notice("master_takes_place", {{"workers", supervisor_.alive()}});
    bus_.recount();
  });
  return true;
}

void Master::on_recounted() {
  count(metrics::Metric::MastersReattached);
  tell(log::Level::Notice, "reattached", {{"workers", supervisor_.alive()}, {"channels", bus_.channels().size()}});
  daemon_.ready(log_.descriptor());
  notify_systemd("READY=1\nMAINPID=" + std::to_string(getpid()));
  // Ends what the dead master may have been in the middle of.
  resize(slots_wanted(*config_));
  next_task();
}

}  // namespace beamgate::master
