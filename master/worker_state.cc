#include "master/worker_state.h"

#include "common/base/assert.h"

namespace beamgate::master {
namespace {

WorkerStep died(bool wanted) {
  return {WorkerState::Exited, wanted ? WorkerAction::Replace : WorkerAction::Forget};
}

WorkerStep step_exited(WorkerEvent event) {
  if (event == WorkerEvent::Spawned) return {WorkerState::Starting, WorkerAction::None};
  if (event == WorkerEvent::StopAsked) return {WorkerState::Exited, WorkerAction::Forget};
  return {WorkerState::Exited, WorkerAction::None};  // Echoes of a worker that has gone.
}

WorkerStep step_living(WorkerState state, WorkerEvent event, bool wanted) {
  switch (event) {
    case WorkerEvent::BecameReady:
      return {WorkerState::Ready, WorkerAction::Serve};
    case WorkerEvent::StopAsked:
      return {WorkerState::Draining, WorkerAction::TellStop};
    case WorkerEvent::BusClosed:
      return {WorkerState::Draining, WorkerAction::Expect};
    case WorkerEvent::Misbehaved:
      return {WorkerState::Draining, WorkerAction::Kill};
    case WorkerEvent::Died:
      return died(wanted);
    case WorkerEvent::Spawned:
      break;
  }
  BG_ASSERT(false && "a slot has one worker at a time");
  return {state, WorkerAction::None};
}

WorkerStep step_draining(WorkerEvent event, bool wanted) {
  switch (event) {
    case WorkerEvent::BecameReady:  // Crossed our Stop, or it died before it read it.
      return {WorkerState::Draining, WorkerAction::TellAgain};
    case WorkerEvent::BusClosed:
      return {WorkerState::Draining, WorkerAction::None};
    case WorkerEvent::StopAsked:  // A fast stop overtakes a graceful one.
      return {WorkerState::Draining, WorkerAction::TellStop};
    case WorkerEvent::Misbehaved:
      return {WorkerState::Draining, WorkerAction::Kill};
    case WorkerEvent::Died:
      return died(wanted);
    case WorkerEvent::Spawned:
      break;
  }
  BG_ASSERT(false && "a slot has one worker at a time");
  return {WorkerState::Draining, WorkerAction::None};
}

}  // namespace

WorkerStep step_worker(WorkerState state, WorkerEvent event, bool wanted) {
  switch (state) {
    case WorkerState::Exited:
      return step_exited(event);
    case WorkerState::Starting:
    case WorkerState::Ready:
      return step_living(state, event, wanted);
    case WorkerState::Draining:
      return step_draining(event, wanted);
  }
  BG_ASSERT(false && "no such state");
  return {state, WorkerAction::None};
}

const char* state_name(WorkerState state) {
  switch (state) {
    case WorkerState::Exited: return "exited";
    case WorkerState::Starting: return "starting";
    case WorkerState::Ready: return "ready";
    case WorkerState::Draining: return "draining";
  }
  return "?";
}

}  // namespace beamgate::master
