// Supervision: what is done when a worker comes, goes, hangs or lies.  The processes are numbers here; the
// limits of many seconds are shown by their timers' existence, the short ones by waiting for them.
#include <gtest/gtest.h>

#include <csignal>

#include "common/base/clock.h"
#include "master/supervisor.h"

namespace beamgate::master {
namespace {

constexpr int kKilled = SIGKILL;  // As waitpid() tells it.
constexpr int kExitedWell = 0;

struct FakeActions : Supervisor::Actions {
  Result<pid_t> spawn(uint16_t slot) override {
    note("spawn", slot);
    if (fail_spawns > 0) {
      --fail_spawns;
      return Error{Code::System, EAGAIN, "can't fork a worker"};
    }
    return next_pid++;
  }
  void tell_stop(uint16_t slot, bool graceful) override { note(graceful ? "quit" : "stop", slot); }
  void kill(uint16_t, pid_t child) override { note("kill", child); }
  pid_t survivor(uint16_t) override { return std::exchange(survivor_pid, 0); }
  void on_serving(uint16_t slot) override { note("serving", slot); }
  void on_dead(uint16_t slot) override { note("dead", slot); }
  void note(const char* what, int number) { text += what + std::to_string(number) + ' '; }

  std::string text;
  pid_t next_pid = 1000;
  int fail_spawns = 0;
  pid_t survivor_pid = 0;  // Of the next death only.
};

class SupervisorTest : public testing::Test {
 protected:
  std::string did() { return std::exchange(actions_.text, {}); }
  // Runs the loop until something was done.
  std::string next(int64_t within_ms = 5'000) {
    const int64_t end_ms = monotonic_ms() + within_ms;
    while (actions_.text.empty() && monotonic_ms() < end_ms) loop_.run_turn(end_ms - monotonic_ms());
    return did();
  }
  void serve(uint16_t count) {
    supervisor_.want(SlotSet::first(count));
    for (uint16_t slot = 0; slot < count; ++slot) supervisor_.worker_ready(slot);
    did();
  }

  EventLoop loop_;
  log::Log log_{"test"};
  FakeActions actions_;
  Supervisor supervisor_{loop_, log_, actions_};
};

TEST_F(SupervisorTest, StartsWhatIsWanted) {
  supervisor_.want(SlotSet::first(2));
  EXPECT_EQ(did(), "spawn0 spawn1 ");
  EXPECT_FALSE(supervisor_.all_ready());
  supervisor_.worker_ready(1);
  supervisor_.worker_ready(0);
  EXPECT_EQ(did(), "serving1 serving0 ");
  EXPECT_TRUE(supervisor_.all_ready());
  EXPECT_EQ(supervisor_.alive(), 2);
}

TEST_F(SupervisorTest, ReplacesTheDeadAtOnceAndTheShortLivedLater) {
  serve(2);
  const int64_t start_ms = monotonic_ms();
  EXPECT_TRUE(supervisor_.child_exited(1000, kKilled));
  EXPECT_EQ(did(), "dead0 ");
  EXPECT_EQ(next(), "spawn0 ");
  EXPECT_LT(monotonic_ms() - start_ms, 100);
  EXPECT_TRUE(supervisor_.child_exited(1002, kKilled));
  EXPECT_EQ(did(), "dead0 ");
  const int64_t second_ms = monotonic_ms();
  EXPECT_EQ(next(), "spawn0 ");
  EXPECT_GE(monotonic_ms() - second_ms, RespawnBackoff::kDelayFirstMs - 1);
  EXPECT_FALSE(supervisor_.child_exited(4242, kKilled)) << "no child of ours";
}

TEST_F(SupervisorTest, ASpawnThatFailsIsTriedAgain) {
  actions_.fail_spawns = 2;
  supervisor_.want(SlotSet::first(1));
  EXPECT_EQ(did(), "spawn0 ");
  EXPECT_EQ(next(), "spawn0 ");
  EXPECT_EQ(supervisor_.alive(), 0);
  EXPECT_EQ(next(), "spawn0 ");
  EXPECT_EQ(supervisor_.alive(), 1);
}

TEST_F(SupervisorTest, KillsWhoMisbehaves) {
  serve(1);
  supervisor_.misbehaved(0, "bad frame");
  EXPECT_EQ(did(), "kill1000 ");
  supervisor_.bus_closed(0);
  EXPECT_EQ(did(), "");
  supervisor_.child_exited(1000, kKilled);
  EXPECT_EQ(did(), "dead0 ");
  EXPECT_EQ(next(), "spawn0 ");
}

TEST_F(SupervisorTest, ASuccessorServesWithoutADeath) {
  serve(1);
  supervisor_.worker_ready(0);
  EXPECT_EQ(did(), "serving0 ");
  EXPECT_EQ(supervisor_.state(0), WorkerState::Ready);
}

TEST_F(SupervisorTest, ASlotLivesAsLongAsAnyOfItsProcesses) {
  serve(1);
  actions_.survivor_pid = 4711;
  EXPECT_TRUE(supervisor_.child_exited(1000, kKilled));
  EXPECT_EQ(did(), "");
  EXPECT_EQ(supervisor_.state(0), WorkerState::Ready);
  EXPECT_FALSE(supervisor_.child_exited(1000, kKilled)) << "not its child any more";
  supervisor_.misbehaved(0, "bad frame");
  EXPECT_EQ(did(), "kill4711 ");
  actions_.survivor_pid = 4712;
  EXPECT_TRUE(supervisor_.child_exited(4711, kKilled));
  EXPECT_EQ(did(), "kill4712 ") << "it began just then";
  EXPECT_TRUE(supervisor_.child_exited(4712, kKilled));
  EXPECT_EQ(did(), "dead0 ");
}

TEST_F(SupervisorTest, ASuccessorOfWhoWasToldToStopIsToldAgain) {
  serve(1);
  supervisor_.stop_all(true);
  EXPECT_EQ(did(), "quit0 ");
  supervisor_.worker_ready(0);
  EXPECT_EQ(did(), "quit0 ");
}

TEST_F(SupervisorTest, StopsGracefullyThenFast) {
  serve(2);
  supervisor_.stop_all(true);
  EXPECT_EQ(did(), "quit0 quit1 ");
  supervisor_.stop_all(true);
  EXPECT_EQ(did(), "");
  supervisor_.child_exited(1000, kExitedWell);
  EXPECT_EQ(did(), "dead0 ");
  supervisor_.stop_all(false);
  EXPECT_EQ(did(), "stop1 ");
  supervisor_.child_exited(1001, kExitedWell);
  EXPECT_EQ(did(), "dead1 ");
  EXPECT_EQ(supervisor_.alive(), 0);
  EXPECT_EQ(loop_.alive(), 0u) << "nothing is respawned";
}

TEST_F(SupervisorTest, StoppingCancelsARespawnThatWaits) {
  serve(1);
  supervisor_.child_exited(1000, kKilled);
  supervisor_.stop_all(false);
  EXPECT_EQ(did(), "dead0 ");
  EXPECT_EQ(loop_.alive(), 0u);
}

TEST_F(SupervisorTest, ShrinksFromTheEndAfterTheQueueHadItsTime) {
  serve(3);
  supervisor_.want(SlotSet::first(1));
  EXPECT_EQ(did(), "");
  const int64_t start_ms = monotonic_ms();
  EXPECT_EQ(next(), "quit1 quit2 ");
  EXPECT_GE(monotonic_ms() - start_ms, Supervisor::kLeaveMs - 1);
  EXPECT_EQ(supervisor_.alive_from(1), 2);
  supervisor_.child_exited(1002, kExitedWell);
  supervisor_.child_exited(1001, kKilled);
  EXPECT_EQ(did(), "dead2 dead1 ");
  EXPECT_EQ(loop_.alive(), 0u);
}

TEST_F(SupervisorTest, WhoWasAboutToLeaveMayStay) {
  serve(2);
  supervisor_.want(SlotSet::first(1));
  supervisor_.want(SlotSet::first(3));
  EXPECT_EQ(did(), "spawn2 ");
  EXPECT_EQ(supervisor_.state(1), WorkerState::Ready);
  supervisor_.worker_ready(2);
  EXPECT_EQ(did(), "serving2 ");
  EXPECT_EQ(loop_.alive(), 0u);
}

TEST_F(SupervisorTest, WhoLeavesAndIsWantedAgainIsReplaced) {
  serve(2);
  supervisor_.want(SlotSet::first(1));
  EXPECT_EQ(next(), "quit1 ");
  supervisor_.want(SlotSet::first(2));
  EXPECT_EQ(did(), "");
  supervisor_.child_exited(1001, kExitedWell);
  EXPECT_EQ(did(), "dead1 ");
  EXPECT_EQ(next(), "spawn1 ");
}

TEST_F(SupervisorTest, AWorkerThatStartsWhileItIsNotWantedLeaves) {
  supervisor_.want(SlotSet::first(2));
  supervisor_.want(SlotSet::first(1));
  did();
  supervisor_.worker_ready(1);
  EXPECT_EQ(did(), "serving1 ");
  EXPECT_EQ(next(), "quit1 ");
}

}  // namespace
}  // namespace beamgate::master
