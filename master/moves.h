// Moves: connections on their way from one worker to another, as the master sees it.
//
// The master makes what both ends need - a SOCK_SEQPACKET pair to talk over, a page of decisions (a memfd) - and
// tells them; the connections go from worker to worker.
// Owner      Master; the EventLoop outlives it.
// Lifetime   A move from request() until the source's Moved, the death of either worker, its time limit, or
//            cancel_all().  Then its on_end is called once, from the loop, never from inside request().
// Limits     A worker takes part in one move at a time; others that name it wait for their turn, in order.
// Errors     What can't be made or sent ends the move with ok false.  A Moved nobody waits for is ignored.
// Thread     The master's only thread.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>

#include "common/ipc/messages.h"
#include "common/ipc/packet.h"
#include "common/log/log.h"
#include "master/event_loop.h"

namespace beamgate::master {

struct Move {
  uint16_t from = 0;
  uint16_t to = 0;
  ipc::MoveScope scope = ipc::MoveScope::All;
  uint32_t count = 0;    // Of MoveScope::Some.
  int64_t limit_ms = 0;  // Its end is not waited for any longer; 0: it is.
};

struct MoveEnd {
  bool ok = false;
  uint32_t moved = 0;
  uint32_t left = 0;
  std::string reason;  // Why it is not ok.
};

class Moves {
 public:
  using OnEnd = std::function<void(const MoveEnd&)>;

  class Actions {
   public:
    virtual ~Actions() = default;
    virtual bool can_move(uint16_t slot) const = 0;  // Its worker is ready.
    virtual void send_move_out(uint16_t slot, const ipc::MoveOut& message, ipc::Descriptors descriptors) = 0;
    virtual void send_move_in(uint16_t slot, const ipc::MoveIn& message, ipc::Descriptors descriptors) = 0;
  };

  Moves(EventLoop& loop, log::Log& log, Actions& actions) : loop_(loop), log_(log), actions_(actions) {}
  ~Moves() { cancel_all(); }

  void request(const Move& move, OnEnd on_end);
  void on_moved(uint16_t slot, const ipc::Moved& moved);
  void on_dead(uint16_t slot);
  void cancel_all();  // Nobody is told.

  bool running() const { return !entries_.empty(); }

 private:
  struct Entry {
    Move move;
    OnEnd on_end;
    uint32_t number = 0;  // 0: it waits for its turn.
    std::optional<EventLoop::TimerId> timer;  // Of the limit, or of the end that is due.
  };
  using Entries = std::list<Entry>;

  void start_what_can();
  void start(Entry& entry);
  void end(Entry& entry, MoveEnd result);
  bool busy(uint16_t slot) const;

  EventLoop& loop_;
  log::Log& log_;
  Actions& actions_;
  Entries entries_;  // In the order of their requests.
  uint32_t next_number_ = 1;
};

}  // namespace beamgate::master
