// Upgrade: asks another binary, in children, whether it can take the master's place.
//
//   Idle       -- begin() --------------------------> Testing     (-t with the arguments of this master)
//   Testing    -- the configuration is valid -------> Asking      (--handover-version)
//   Asking     -- it prints our version ------------> Rehearsing  (--handover-rehearsal with the state of now)
//   Rehearsing -- it can read the state ------------> Idle        (upgrade_checked)
//   any        -- it is displeased, late, dead -----> Idle        (upgrade_refused)
// Owner      Master; the EventLoop outlives it.
// Thread     The master's only thread.  Actions are called from the loop or from child_exited().
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/log/log.h"
#include "master/event_loop.h"
#include "master/image.h"
#include "master/program_check.h"

namespace beamgate::master {

class Upgrade {
 public:
  class Actions {
   public:
    virtual ~Actions() = default;
    virtual std::string state_now() = 0;  // Serialised.
    virtual void upgrade_checked() = 0;
    virtual void upgrade_refused(const std::string& reason) = 0;
  };

  Upgrade(EventLoop& loop, log::Log& log, Actions& actions) : loop_(loop), log_(log), actions_(actions) {}
  ~Upgrade() { cancel(); }

  bool running() const { return state_ != State::Idle; }
  void begin(const Program& program);  // REQUIRES: !running().
  void cancel();
  bool child_exited(pid_t pid, int status);  // False: not ours.

 private:
  enum class State : uint8_t { Idle, Testing, Asking, Rehearsing };

  void run(State state, std::vector<std::string> arguments, int inherited);
  void on_end(const ProgramCheck::Ending& ending, const std::string& output);
  void rehearse();
  void refuse(const std::string& reason);

  EventLoop& loop_;
  log::Log& log_;
  Actions& actions_;
  State state_ = State::Idle;
  Program program_;
  UniqueFd rehearsed_;  // The state.
  std::unique_ptr<ProgramCheck> check_;
  std::optional<EventLoop::TimerId> timer_;
};

}  // namespace beamgate::master
