// WorkerState: the life of one worker as its master sees it, as a pure step function.  With a keeper it goes on in
// its successors.
//
//   Exited   -- spawned ------------------------> Starting
//   Starting -- its Ready message --------------> Ready
//   Ready    -- a successor's Ready message ----> Ready
//   Draining -- a successor's Ready message ----> Draining   (told to stop as well)
//   Starting, Ready -- told to stop ------------> Draining   (it ends by itself, within a time limit)
//   Starting, Ready -- its bus closed ----------> Draining   (it is ending; killed when that takes too long)
//   Starting, Ready -- misbehaved --------------> Draining   (killed)
//   Starting, Ready, Draining -- died ----------> Exited     (replaced when its slot is still wanted)
//
// Misbehaved means a frame that can't be decoded, or no Ready in time.
#pragma once

#include <cstdint>

namespace beamgate::master {

enum class WorkerState : uint8_t { Exited, Starting, Ready, Draining };

enum class WorkerEvent : uint8_t { Spawned, BecameReady, StopAsked, BusClosed, Misbehaved, Died };

enum class WorkerAction : uint8_t {
  None,
  Serve,     // Counts as serving from now on.
  TellStop,  // Send Stop and limit the time.
  TellAgain, // Send Stop; the time runs already.
  Expect,    // Limit the time until it dies.
  Kill,
  Replace,   // Start another one in its slot.
  Forget,    // The slot is free.
};

struct WorkerStep {
  WorkerState next;
  WorkerAction action;
};

// wanted: the slot shall have a worker.
WorkerStep step_worker(WorkerState state, WorkerEvent event, bool wanted);

const char* state_name(WorkerState state);

}  // namespace beamgate::master
