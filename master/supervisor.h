// Supervisor: the table of worker slots; starts, replaces, drains and ends workers.
//
// Owner      Master; the EventLoop outlives it.
// Lifetime   A slot outlives its workers.  Its state changes only in step_worker(); what follows from a step is
//            done in act().
// Keepers    The child of a slot is its worker's keeper, or the worker itself where there is none.  A worker that
//            dies and has a successor is no event here, but for the successor's Ready.  A keeper's death is none
//            either while another process holds the slot: that is its child then.
// Thread     The master's only thread.
// Limits     Ready within kReadyMs, dead within kFastStopMs of a fast stop or of hanging up its bus, and
//            within worker_shutdown_timeout plus kFastStopMs of a graceful one; whoever is late is killed.
//            Respawns wait as RespawnBackoff says.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>

#include "common/ipc/handover.h"
#include "common/log/log.h"
#include "master/event_loop.h"
#include "master/hub/slot_set.h"
#include "master/respawn_backoff.h"
#include "master/worker_state.h"

namespace beamgate::master {

class Supervisor {
 public:
  static constexpr int64_t kReadyMs = 30'000;
  static constexpr int64_t kFastStopMs = 5'000;
  // A slot that goes has its worker accept this long what the kernel had already given to it.
  static constexpr int64_t kLeaveMs = 1'000;

  // What a supervisor can't do itself.
  class Actions {
   public:
    virtual ~Actions() = default;
    virtual Result<pid_t> spawn(uint16_t slot) = 0;
    virtual void tell_stop(uint16_t slot, bool graceful) = 0;
    virtual void kill(uint16_t slot, pid_t child) = 0;
    // A living child of ours that holds the slot though the one we knew is dead; 0: none.
    virtual pid_t survivor(uint16_t slot) = 0;
    virtual void on_serving(uint16_t slot) = 0;
    virtual void on_dead(uint16_t slot) = 0;  // Clear its traces; a replacement may follow at once.
  };

  Supervisor(EventLoop& loop, log::Log& log, Actions& actions) : loop_(loop), log_(log), actions_(actions) {}
  ~Supervisor();

  // 0: no limit but the worker's patience.
  void set_shutdown_timeout(int64_t timeout_ms) { shutdown_timeout_ms_ = timeout_ms; }

  // From now on these slots shall have a worker, the others shall not.
  void want(const SlotSet& slots);
  // The slot is wanted no more, and its worker ends gracefully at once: what its clients' queue held is served
  // by others.
  void dismiss(uint16_t slot);
  // The same, fast.
  void discard(uint16_t slot);
  // A worker that another image of the master has started.  REQUIRES: the slot is free.
  void adopt(uint16_t slot, pid_t pid, WorkerState state);
  void stop_all(bool graceful);

  void worker_ready(uint16_t slot) { apply(slot, WorkerEvent::BecameReady); }
  void bus_closed(uint16_t slot) { apply(slot, WorkerEvent::BusClosed); }
  void misbehaved(uint16_t slot, const char* reason);
  // False: no slot's child.
  bool child_exited(pid_t pid, int status);

  WorkerState state(uint16_t slot) const { return slots_[slot].state; }
  pid_t pid(uint16_t slot) const { return slots_[slot].pid; }
  const SlotSet& wanted() const { return wanted_; }
  bool all_ready() const;                     // Every wanted slot.
  uint16_t alive_from(uint16_t first) const;  // Living workers in the columns from `first` on.
  uint16_t alive() const { return alive_from(0); }

 private:
  struct Slot {
    WorkerState state = WorkerState::Exited;
    pid_t pid = 0;
    int64_t spawned_ms = 0;
    bool graceful = false;  // How it was told to stop.
    bool killed = false;    // All of it has to go.
    RespawnBackoff backoff;
    std::optional<EventLoop::TimerId> timer;  // The one thing the slot waits for: Ready, death, respawn, leave.
  };

  void apply(uint16_t slot, WorkerEvent event);
  void act(uint16_t slot, WorkerAction action);
  void set_state(Slot& slot, WorkerState state) { slot.state = state; }
  void set_timer(uint16_t slot, int64_t delay_ms, EventLoop::OnTime on_time);
  void clear_timer(Slot& slot);
  void start(uint16_t slot);
  void leave(uint16_t slot);
  void await_ready(uint16_t slot);
  void replace(uint16_t slot);
  void stop(uint16_t slot, bool graceful);
  void expect_death(uint16_t slot, int64_t within_ms);
  int64_t stop_limit_ms(bool graceful) const;

  EventLoop& loop_;
  log::Log& log_;
  Actions& actions_;
  int64_t shutdown_timeout_ms_ = 30'000;
  SlotSet wanted_;
  std::array<Slot, ipc::kSlotsMax> slots_;
};

}  // namespace beamgate::master
