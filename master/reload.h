// Reload: the agreement of all workers on a new configuration, in two steps.
//
//   Idle      -- begin() -----------------------------------> Preparing   (Prepare sent to each worker)
//   Preparing -- every worker has accepted -----------------> Idle        (commit)
//   Preparing -- one refused, died, or kAnswerMs have passed -> Idle      (abort)
//
// A worker that is started meanwhile has the old configuration and joins with add().
// Owner      Master; the EventLoop outlives it.
// Thread     The master's only thread.  Actions are called from the loop, never from inside on_prepared().
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/ipc/messages.h"
#include "master/event_loop.h"
#include "master/hub/slot_set.h"

namespace beamgate::master {

class Reload {
 public:
  static constexpr int64_t kAnswerMs = 30'000;

  class Actions {
   public:
    virtual ~Actions() = default;
    virtual void send_prepare(uint16_t slot) = 0;
    // members: who was asked and has not died.
    virtual void commit_reload(const SlotSet& members) = 0;
    virtual void abort_reload(const SlotSet& members, const std::string& reason) = 0;
  };

  Reload(EventLoop& loop, Actions& actions) : loop_(loop), actions_(actions) {}
  ~Reload();

  bool running() const { return state_ == State::Preparing; }
  // REQUIRES: !running().
  void begin(uint32_t generation, const SlotSet& slots);
  void add(uint16_t slot);  // Ignored when none runs; so are the two below.
  void on_prepared(uint16_t slot, const ipc::Prepared& prepared);
  void on_dead(uint16_t slot);
  void give_up(const std::string& reason);

 private:
  enum class State : uint8_t { Idle, Preparing };

  void ask(uint16_t slot);
  void decide();
  void finish();

  EventLoop& loop_;
  Actions& actions_;
  State state_ = State::Idle;
  uint32_t generation_ = 0;
  SlotSet members_;
  SlotSet waiting_;      // Members that have not answered.
  std::string refusal_;  // Why it can't be; empty: it still can.
  std::optional<EventLoop::TimerId> deadline_;
  std::optional<EventLoop::TimerId> decision_;
};

}  // namespace beamgate::master
