// Takeover: the new binary's master replaces every old worker by one of its own, or gives everything back.
//
//   Replacing -- every worker's connections have moved -------> Finishing  (the old workers are dismissed)
//   Finishing -- they are dead -------------------------------> Idle       (taken_over)
//   Replacing -- one can't be replaced -----------------------> Undoing    (all move back)
//   Undoing   -- no new worker lives that could be removed ---> Idle       (give_back)
// Owner      Master; the EventLoop and the Moves outlive it.
// Thread     The master's only thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/log/log.h"
#include "master/hub/slot_set.h"
#include "master/replacement.h"

namespace beamgate::master {

class Takeover final : private Replacement::Actions {
 public:
  class Actions {
   public:
    virtual ~Actions() = default;
    virtual void start_worker(uint16_t slot) = 0;
    virtual void dismiss_worker(uint16_t slot) = 0;
    virtual void discard_worker(uint16_t slot) = 0;
    virtual bool lives(uint16_t slot) const = 0;
    virtual uint64_t faults(uint16_t slot) const = 0;
    virtual void taken_over() = 0;
    virtual void give_back(const std::string& reason) = 0;
  };

  Takeover(EventLoop& loop, log::Log& log, Moves& moves, Actions& actions)
      : loop_(loop), log_(log), moves_(moves), actions_(actions) {}
  ~Takeover() override { cancel(); }

  bool running() const { return state_ != State::Idle; }
  // REQUIRES: !running(); the slots' twins are free.
  void begin(const SlotSet& slots, const Replacement::Limits& limits);
  void on_serving(uint16_t slot);
  void on_dead(uint16_t slot);
  void on_successor(uint16_t slot);  // Of a worker that has died.
  void cancel();  // The gateway stops.

 private:
  enum class State : uint8_t { Idle, Replacing, Finishing, Undoing };

  void start_worker(uint16_t slot) override { actions_.start_worker(slot); }
  void dismiss_worker(uint16_t slot) override { actions_.dismiss_worker(slot); }
  void discard_worker(uint16_t slot) override { actions_.discard_worker(slot); }
  bool lives(uint16_t slot) const override { return actions_.lives(slot); }
  uint64_t faults(uint16_t slot) const override { return actions_.faults(slot); }
  void on_moved(uint16_t slot) override;
  void on_failed(uint16_t slot, const std::string& reason) override;
  void look();
  void step();
  bool settled() const;

  EventLoop& loop_;
  log::Log& log_;
  Moves& moves_;
  Actions& actions_;
  State state_ = State::Idle;
  std::string reason_;
  std::vector<std::unique_ptr<Replacement>> replacements_;
  std::optional<EventLoop::TimerId> timer_;  // Of a step that is due.
};

}  // namespace beamgate::master
