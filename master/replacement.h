// Replacement: a worker gives its place and its clients to a new one in the twin slot, or takes them back.
//
//   Idle      -- begin() ------------------------------> Starting   (the twin is wanted)
//   Starting  -- twin ready ---------------------------> Trying     (a few connections move; it serves them a while)
//   Trying    -- its time is over, no fault was seen --> Moving
//   Trying    -- too many faults, twin died, undo() ---> Returning
//   Moving    -- all has moved, or its time is over ---> Moved      (on_moved; the old worker still lives)
//   Moved     -- finish() -----------------------------> Idle       (the old worker is dismissed)
//   Starting  -- twin dead or late, undo() ------------> Removing   (the twin is discarded)
//   Moving    -- the move failed, undo() --------------> Returning  (everything moves back)
//   Moved     -- undo() -------------------------------> Returning
//   Moved     -- the old worker has a successor -------> Moving     (which did accept clients again)
//   Returning -- moved back, or that failed too often -> Removing
//   Removing  -- twin dead ----------------------------> Failed     (on_failed)
// A twin that dies leads to Failed at once.  An old worker that dies has nothing to come back to: once its twin
// serves, the twin stays, whatever is asked for later.
// Owner      Upgrade, one per slot; the EventLoop and the Moves outlive it.
// Trial      The new worker's code meets clients for the first time: kTrialConnections of them at most.  A fault is a
//            connection that it closes because of what it has read there; more than one in kTrialFaultsShare is too many.
// Limits     Ready within kReadyMs; kReturnsMax attempts to move back.
// Thread     The master's only thread.  Observer's methods come from the loop or from inside on_...(), never from
//            inside begin(), finish() or undo().
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/ipc/handover.h"
#include "common/log/log.h"
#include "master/event_loop.h"
#include "master/moves.h"

namespace beamgate::master {

class Replacement {
 public:
  static constexpr int64_t kReadyMs = 30'000;
  static constexpr int kReturnsMax = 5;
  static constexpr uint32_t kTrialConnections = 64;
  static constexpr uint32_t kTrialFaultsShare = 16;

  struct Limits {
    int64_t move_ms = 0;   // 0: as long as it takes.
    int64_t trial_ms = 0;  // 0: no trial.
  };

  class Actions {
   public:
    virtual ~Actions() = default;
    virtual void start_worker(uint16_t slot) = 0;    // Wants the slot.
    virtual void dismiss_worker(uint16_t slot) = 0;  // Wants it no more; its worker ends gracefully.
    virtual void discard_worker(uint16_t slot) = 0;  // The same, fast.
    virtual bool lives(uint16_t slot) const = 0;
    virtual uint64_t faults(uint16_t slot) const = 0;  // So far, by the slot's workers.
    virtual void on_moved(uint16_t slot) = 0;
    virtual void on_failed(uint16_t slot, const std::string& reason) = 0;
  };

  // slot: of the old worker.
  Replacement(EventLoop& loop, log::Log& log, Moves& moves, Actions& actions, uint16_t slot, const Limits& limits);
  ~Replacement();
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;

  void begin();
  void finish();  // REQUIRES: moved().
  void undo(const std::string& reason);

  void on_serving(uint16_t slot);
  void on_dead(uint16_t slot);
  void on_successor(uint16_t slot);

  bool moved() const { return state_ == State::Moved; }
  bool failed() const { return state_ == State::Failed; }
  uint16_t slot() const { return slot_; }
  uint16_t twin() const { return slot_ ^ ipc::kTwin; }

 private:
  enum class State : uint8_t { Idle, Starting, Trying, Moving, Moved, Returning, Removing, Failed };

  void begin_trial();
  void on_trial_move_end(const MoveEnd& end);
  void end_trial(uint32_t tried);
  void fail_trial(const std::string& reason);
  void move();
  void on_move_end(const MoveEnd& end);
  void move_back();
  void remove(bool graceful);
  void on_twin_dead();
  void fail();
  void reach_moved();
  void set_timer(int64_t delay_ms, EventLoop::OnTime on_time);
  void clear_timer();

  EventLoop& loop_;
  log::Log& log_;
  Moves& moves_;
  Actions& actions_;
  const uint16_t slot_;
  const Limits limits_;
  State state_ = State::Idle;
  uint64_t faults_before_ = 0;  // The trial.
  bool undone_ = false;     // undo() came while connections were on their way.
  bool old_died_ = false;
  int returns_failed_ = 0;
  std::string reason_;
  std::optional<EventLoop::TimerId> timer_;
};

}  // namespace beamgate::master
