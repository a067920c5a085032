// Resize: brings connections to where they belong after the number of workers has changed.
//
//   Idle     -- begin() ------------------------------------------------> Settling
//   Settling -- the joining serve; the leaving had kLeaveMs to accept ---> Moving
//   Moving   -- nobody leaves any more and the others are balanced ------> Idle     (finished)
//
// A leaving worker serves on until its connections have moved; then it is dismissed.  Moves that fail are planned
// again, kRetryMs later: whoever has died meanwhile has a successor then, which has its connections.  After
// kAttemptsMax rounds that failed for another reason, or kGiveUpMs, a leaving worker is dismissed with what it still has.
// Owner      Master; the EventLoop and the Moves outlive it.
// Limits     Settling takes at most kSettleMs; a move away from a leaving worker what set_move_limit() says.
// Thread     The master's only thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "common/log/log.h"
#include "master/balance.h"
#include "master/event_loop.h"
#include "master/hub/slot_set.h"
#include "master/moves.h"

namespace beamgate::master {

class Resize {
 public:
  static constexpr int64_t kSettleMs = 30'000;
  static constexpr int64_t kLeaveMs = 1'000;  // A slot that goes accepts this long what the kernel gave to it.
  static constexpr int kAttemptsMax = 3;
  static constexpr int64_t kRetryMs = 500;
  static constexpr int64_t kGiveUpMs = 30'000;  // Since the first move began.

  class Actions {
   public:
    virtual ~Actions() = default;
    virtual bool serves(uint16_t slot) const = 0;
    virtual uint64_t connections(uint16_t slot) const = 0;
    virtual void dismiss(uint16_t slot) = 0;
    virtual void resized() = 0;
  };

  Resize(EventLoop& loop, log::Log& log, Moves& moves, Actions& actions)
      : loop_(loop), log_(log), moves_(moves), actions_(actions) {}
  ~Resize() { cancel(); }

  void set_move_limit(int64_t limit_ms) { move_limit_ms_ = limit_ms; }

  bool running() const { return state_ != State::Idle; }
  // REQUIRES: !running(), somebody stays.
  void begin(const SlotSet& staying, const SlotSet& leaving);
  void on_serving() { if (state_ == State::Settling) settle(); }
  void on_dead(uint16_t slot);  // Nobody takes its place.
  void on_successor();          // Of any worker.
  void cancel();  // The gateway stops; the moves are cancelled by their owner.

 private:
  enum class State : uint8_t { Idle, Settling, Moving };

  void settle();
  void move_all();
  void balance();
  void send(const Share& share, ipc::MoveScope scope);
  void on_end(const Share& share, ipc::MoveScope scope, const MoveEnd& end);
  void next_round();
  void set_timer(int64_t delay_ms, EventLoop::OnTime on_time);
  std::vector<Load> loads() const;

  EventLoop& loop_;
  log::Log& log_;
  Moves& moves_;
  Actions& actions_;
  State state_ = State::Idle;
  SlotSet staying_;
  SlotSet leaving_;
  int64_t move_limit_ms_ = 0;
  int64_t leave_ms_ = 0;    // When the leaving have accepted what was theirs.
  int64_t settled_ms_ = 0;  // When it is not waited for the joining any longer.
  size_t pending_ = 0;      // Moves whose end is to come.
  bool failed_ = false;     // One of this round's moves.
  int departures_failed_ = 0;  // Rounds so far,
  int balances_ = 0;           // and those of the other kind.
  int64_t give_up_ms_ = 0;
  std::optional<EventLoop::TimerId> timer_;
};

}  // namespace beamgate::master
