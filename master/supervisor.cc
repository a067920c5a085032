#include "master/supervisor.h"

#include <sys/wait.h>

#include "common/base/assert.h"
#include "common/base/clock.h"

namespace beamgate::master {

Supervisor::~Supervisor() {
  for (Slot& slot : slots_) clear_timer(slot);
}

void Supervisor::set_timer(uint16_t number, int64_t delay_ms, EventLoop::OnTime on_time) {
  Slot& slot = slots_[number];
  clear_timer(slot);
  slot.timer = loop_.after(delay_ms, [&slot, on_time = std::move(on_time)] {
    slot.timer.reset();
    on_time();
  });
}

void Supervisor::clear_timer(Slot& slot) {
  if (slot.timer) loop_.cancel(*slot.timer);
  slot.timer.reset();
}

void Supervisor::want(const SlotSet& slots) {
  wanted_ = slots;
  for (uint16_t number = 0; number < ipc::kSlotsMax; ++number) {
    Slot& slot = slots_[number];
    if (!wanted_.contains(number)) {
      if (slot.state == WorkerState::Exited) clear_timer(slot);  // No respawn any more.
      if (slot.state == WorkerState::Starting || slot.state == WorkerState::Ready) leave(number);
      continue;
    }
    // A worker that was about to leave may stay.
    if (slot.state == WorkerState::Ready) clear_timer(slot);
    if (slot.state == WorkerState::Starting) await_ready(number);
    if (slot.state == WorkerState::Exited && !slot.timer) start(number);
  }
}

void Supervisor::dismiss(uint16_t number) {
  wanted_.remove(number);
  stop(number, true);
}

void Supervisor::discard(uint16_t number) {
  wanted_.remove(number);
  stop(number, false);
}

void Supervisor::adopt(uint16_t number, pid_t pid, WorkerState state) {
  Slot& slot = slots_[number];
  BG_ASSERT(slot.state == WorkerState::Exited && state != WorkerState::Exited);
  slot.pid = pid;
  slot.spawned_ms = monotonic_ms();
  set_state(slot, state);
  if (state == WorkerState::Starting) await_ready(number);
  if (state == WorkerState::Draining) expect_death(number, stop_limit_ms(true));
}

void Supervisor::leave(uint16_t number) {
  set_timer(number, kLeaveMs, [this, number] { stop(number, true); });
}

void Supervisor::await_ready(uint16_t number) {
  set_timer(number, kReadyMs, [this, number] { misbehaved(number, "not ready in time"); });
}

void Supervisor::stop_all(bool graceful) {
  wanted_ = {};
  for (uint16_t number = 0; number < ipc::kSlotsMax; ++number) stop(number, graceful);
}

void Supervisor::stop(uint16_t number, bool graceful) {
  Slot& slot = slots_[number];
  // Asked again to be graceful, a draining worker keeps the time limit it has.
  if (slot.state == WorkerState::Draining && graceful) return;
  slot.graceful = graceful;
  apply(number, WorkerEvent::StopAsked);
}

void Supervisor::start(uint16_t number) {
  Slot& slot = slots_[number];
  const auto pid = actions_.spawn(number);
  if (!pid.ok()) {
    log_.write(log::Level::Alert, "worker_spawn_failed", {{"slot", number}, {"error", pid.error().message()}});
    slot.spawned_ms = monotonic_ms();
    replace(number);
    return;
  }
  slot.pid = pid.value();
  slot.killed = false;
  slot.spawned_ms = monotonic_ms();
  apply(number, WorkerEvent::Spawned);
  await_ready(number);
}

void Supervisor::replace(uint16_t number) {
  Slot& slot = slots_[number];
  const int64_t delay_ms = slot.backoff.next_delay_ms(monotonic_ms() - slot.spawned_ms);
  // Never from inside start(): a spawn that fails at once would recurse.
  set_timer(number, delay_ms, [this, number] { start(number); });
}

void Supervisor::misbehaved(uint16_t number, const char* reason) {
  log_.error("worker_misbehaved", {{"slot", number}, {"child", slots_[number].pid}, {"reason", reason}});
  apply(number, WorkerEvent::Misbehaved);
}

bool Supervisor::child_exited(pid_t pid, int status) {
  for (uint16_t number = 0; number < ipc::kSlotsMax; ++number) {
    Slot& slot = slots_[number];
    if (slot.state == WorkerState::Exited || slot.pid != pid) continue;
    const char* how = WIFSIGNALED(status) ? "signal" : "status";
    const int value = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    if (const pid_t survivor = actions_.survivor(number); survivor != 0) {
      log_.write(slot.state == WorkerState::Draining ? log::Level::Info : log::Level::Warn, "keeper_died",
                 {{"slot", number}, {"child", pid}, {how, value}, {"survivor", survivor}});
      slot.pid = survivor;
      if (slot.killed) actions_.kill(number, survivor);
      return true;
    }
    const bool expected = slot.state == WorkerState::Draining && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    log_.write(expected ? log::Level::Notice : log::Level::Alert, "worker_exited",
               {{"slot", number}, {"child", pid}, {how, value}, {"state", state_name(slot.state)}});
    apply(number, WorkerEvent::Died);
    return true;
  }
  return false;
}

void Supervisor::apply(uint16_t number, WorkerEvent event) {
  Slot& slot = slots_[number];
  const WorkerStep step = step_worker(slot.state, event, wanted_.contains(number));
  set_state(slot, step.next);
  if (event == WorkerEvent::Died) {
    clear_timer(slot);
    slot.pid = 0;
    actions_.on_dead(number);
    // Whoever heard of it may not want the slot any more.
    if (step.action == WorkerAction::Replace && !wanted_.contains(number)) return;
  }
  act(number, step.action);
}

void Supervisor::act(uint16_t number, WorkerAction action) {
  Slot& slot = slots_[number];
  switch (action) {
    case WorkerAction::None:
      return;
    case WorkerAction::Serve:
      clear_timer(slot);
      actions_.on_serving(number);
      // It may have been told to go while it started.
      if (!wanted_.contains(number)) leave(number);
      return;
    case WorkerAction::TellStop:
      actions_.tell_stop(number, slot.graceful);
      expect_death(number, stop_limit_ms(slot.graceful));
      return;
    case WorkerAction::TellAgain:
      actions_.tell_stop(number, slot.graceful);
      return;
    case WorkerAction::Expect:
      expect_death(number, kFastStopMs);
      return;
    case WorkerAction::Kill:
      slot.killed = true;
      actions_.kill(number, slot.pid);
      clear_timer(slot);
      return;
    case WorkerAction::Replace:
      replace(number);
      return;
    case WorkerAction::Forget:
      clear_timer(slot);
      return;
  }
}

int64_t Supervisor::stop_limit_ms(bool graceful) const {
  if (!graceful) return kFastStopMs;
  return shutdown_timeout_ms_ == 0 ? 0 : shutdown_timeout_ms_ + kFastStopMs;
}

// 0: whenever it likes.
void Supervisor::expect_death(uint16_t number, int64_t within_ms) {
  clear_timer(slots_[number]);
  if (within_ms == 0) return;
  set_timer(number, within_ms, [this, number] { misbehaved(number, "did not end in time"); });
}

bool Supervisor::all_ready() const {
  bool ready = true;
  wanted_.for_each([&](uint16_t number) { ready = ready && slots_[number].state == WorkerState::Ready; });
  return ready;
}

uint16_t Supervisor::alive_from(uint16_t first) const {
  uint16_t count = 0;
  for (uint16_t number = 0; number < ipc::kSlotsMax; ++number) {
    if (ipc::column_of(number) >= first && slots_[number].state != WorkerState::Exited) ++count;
  }
  return count;
}

}  // namespace beamgate::master
