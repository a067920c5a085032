// The life of a worker: every event in every state, so that no combination is left to chance.
#include <gtest/gtest.h>

#include "master/respawn_backoff.h"
#include "master/worker_state.h"

namespace beamgate::master {
namespace {

using S = WorkerState;
using E = WorkerEvent;
using A = WorkerAction;

struct Row {
  S state;
  E event;
  S next;
  A wanted;    // What follows when the slot shall have a worker ...
  A unwanted;  // ... and when it shall not.
};

constexpr Row kRows[] = {
    {S::Exited, E::Spawned, S::Starting, A::None, A::None},
    {S::Exited, E::BecameReady, S::Exited, A::None, A::None},
    {S::Exited, E::StopAsked, S::Exited, A::Forget, A::Forget},
    {S::Exited, E::BusClosed, S::Exited, A::None, A::None},
    {S::Exited, E::Misbehaved, S::Exited, A::None, A::None},
    {S::Exited, E::Died, S::Exited, A::None, A::None},
    {S::Starting, E::BecameReady, S::Ready, A::Serve, A::Serve},
    {S::Starting, E::StopAsked, S::Draining, A::TellStop, A::TellStop},
    {S::Starting, E::BusClosed, S::Draining, A::Expect, A::Expect},
    {S::Starting, E::Misbehaved, S::Draining, A::Kill, A::Kill},
    {S::Starting, E::Died, S::Exited, A::Replace, A::Forget},
    {S::Ready, E::BecameReady, S::Ready, A::Serve, A::Serve},
    {S::Ready, E::StopAsked, S::Draining, A::TellStop, A::TellStop},
    {S::Ready, E::BusClosed, S::Draining, A::Expect, A::Expect},
    {S::Ready, E::Misbehaved, S::Draining, A::Kill, A::Kill},
    {S::Ready, E::Died, S::Exited, A::Replace, A::Forget},
    {S::Draining, E::BecameReady, S::Draining, A::TellAgain, A::TellAgain},
    {S::Draining, E::StopAsked, S::Draining, A::TellStop, A::TellStop},
    {S::Draining, E::BusClosed, S::Draining, A::None, A::None},
    {S::Draining, E::Misbehaved, S::Draining, A::Kill, A::Kill},
    {S::Draining, E::Died, S::Exited, A::Replace, A::Forget},
};

TEST(WorkerState, EveryEventInEveryState) {
  for (const Row& row : kRows) {
    for (const bool wanted : {true, false}) {
      const WorkerStep step = step_worker(row.state, row.event, wanted);
      EXPECT_EQ(step.next, row.next) << state_name(row.state) << ' ' << static_cast<int>(row.event);
      EXPECT_EQ(step.action, wanted ? row.wanted : row.unwanted)
          << state_name(row.state) << ' ' << static_cast<int>(row.event);
    }
  }
}

TEST(WorkerStateDeathTest, ALivingSlotIsNeverSpawnedInto) {
  for (const S state : {S::Starting, S::Ready, S::Draining}) {
    EXPECT_DEATH(step_worker(state, E::Spawned, true), "one worker at a time");
  }
}

TEST(RespawnBackoff, FirstAtOnceThenLongerUntilOneHasLived) {
  RespawnBackoff backoff;
  EXPECT_EQ(backoff.next_delay_ms(10), 0);
  EXPECT_EQ(backoff.next_delay_ms(10), 50);
  EXPECT_EQ(backoff.next_delay_ms(10), 100);
  EXPECT_EQ(backoff.next_delay_ms(RespawnBackoff::kHealthyMs), 0);
  EXPECT_EQ(backoff.next_delay_ms(10), 50);
  for (int i = 0; i < 20; ++i) EXPECT_LE(backoff.next_delay_ms(10), RespawnBackoff::kDelayMaxMs);
}

}  // namespace
}  // namespace beamgate::master
