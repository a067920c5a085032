// Repair: a worker that has lost its keeper and its standby gives its place and its clients to a complete new one.
//
//   bereft   -- the pause is over, the master has the time -----> replaced  (Replacement, into the twin slot)
//   replaced -- all has moved, nothing is left -----------------> gone      (dismissed)
//   replaced -- what can't move or is busy (TLS, HTTP/2) stays --> retired  (accepts nothing, serves what it has)
//   replaced -- that failed ------------------------------------> bereft
//   retired  -- its last connection has ended ------------------> gone
// Owner      Master; the EventLoop and the Moves outlive it.
// Limits     The master waits kMoveMs for connections; the worker goes on moving what it can.  Between two attempts is
//            a pause as RespawnBackoff says.  A bereft worker whose twin slot is taken, by one that is retired or ends,
//            waits until that is dead.
// Errors     Whoever dies is gone, and what it had with it; when it had given its place away nobody follows it.
// Thread     The master's only thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "common/log/log.h"
#include "master/hub/slot_set.h"
#include "master/replacement.h"
#include "master/respawn_backoff.h"

namespace beamgate::master {

class Repair final : private Replacement::Actions {
 public:
  static constexpr int64_t kMoveMs = 5'000;

  class Actions {
   public:
    virtual ~Actions() = default;
    virtual void start_worker(uint16_t slot) = 0;
    virtual void dismiss_worker(uint16_t slot) = 0;
    virtual void discard_worker(uint16_t slot) = 0;
    virtual bool lives(uint16_t slot) const = 0;
    virtual bool serves(uint16_t slot) const = 0;
    virtual uint64_t faults(uint16_t slot) const = 0;
    virtual uint64_t connections(uint16_t slot) const = 0;
    virtual void repair_due() = 0;               // begin(), as soon as there is time for it.
    virtual void repaired(uint16_t slot) = 0;    // Its twin has its place.
    virtual void repair_ended() = 0;             // Nothing runs any more.
  };

  Repair(EventLoop& loop, log::Log& log, Moves& moves, Actions& actions)
      : loop_(loop), log_(log), moves_(moves), actions_(actions) {}
  ~Repair() override { cancel(); }

  void lost(uint16_t slot);  // Its worker has neither keeper nor standby.
  bool due() const { return due_; }
  bool running() const { return !replacements_.empty(); }
  void begin();   // REQUIRES: due(), !running().
  void cancel();  // The gateway stops.

  // The twin has its place, or is about to.
  bool gives_way(uint16_t slot) const;
  void dismiss_retired();
  void dismiss_empty();  // Now and then: retired ones that have nothing left.

  void on_serving(uint16_t slot);
  void on_dead(uint16_t slot);
  void on_successor(uint16_t slot);

 private:
  void start_worker(uint16_t slot) override { actions_.start_worker(slot); }
  void dismiss_worker(uint16_t slot) override { actions_.dismiss_worker(slot); }
  void discard_worker(uint16_t slot) override { actions_.discard_worker(slot); }
  bool lives(uint16_t slot) const override { return actions_.lives(slot); }
  uint64_t faults(uint16_t slot) const override { return actions_.faults(slot); }
  void on_moved(uint16_t) override { look(); }
  void on_failed(uint16_t, const std::string&) override { look(); }

  bool complete(uint16_t slot) const;
  void schedule();
  void look();
  void settle();
  void end(Replacement& replacement);

  EventLoop& loop_;
  log::Log& log_;
  Moves& moves_;
  Actions& actions_;
  SlotSet bereft_;
  SlotSet retired_;
  bool due_ = false;
  int64_t began_ms_ = 0;  // The latest attempt.
  RespawnBackoff backoff_;
  std::vector<std::unique_ptr<Replacement>> replacements_;
  std::optional<EventLoop::TimerId> pause_timer_;
  std::optional<EventLoop::TimerId> look_timer_;
};

}  // namespace beamgate::master
