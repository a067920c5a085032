// Breaker: every event in every state; an application that is down must cost nothing, one that is back must be
// found by one careful call.
#include "worker/hook/breaker.h"

#include <gtest/gtest.h>

namespace beamgate::hook {
namespace {

using State = Breaker::State;

Breaker in_state(State state) {
  Breaker breaker(1, 100);
  if (state == State::Closed) return breaker;
  breaker.on_failure(1000);
  if (state == State::HalfOpen) breaker.admit(1100);
  EXPECT_EQ(breaker.state(), state);
  return breaker;
}

TEST(Breaker, EveryEventInEveryState) {
  struct Row {
    State state;
    bool admit_early, admit_late;
    State after_failure, after_success, after_cancel;
  };
  const Row rows[] = {
      {State::Closed, true, true, State::Open, State::Closed, State::Closed},
      {State::Open, false, true, State::Open, State::Closed, State::Open},
      {State::HalfOpen, false, false, State::Open, State::Closed, State::Open},
  };
  for (const Row& row : rows) {
    Breaker breaker = in_state(row.state);
    EXPECT_EQ(breaker.admit(1099), row.admit_early);
    breaker = in_state(row.state);
    EXPECT_EQ(breaker.admit(1100), row.admit_late);
    breaker = in_state(row.state);
    EXPECT_EQ(breaker.on_failure(1200), row.state != State::Open);
    EXPECT_EQ(breaker.state(), row.after_failure);
    breaker = in_state(row.state);
    breaker.on_success();
    EXPECT_EQ(breaker.state(), row.after_success);
    breaker = in_state(row.state);
    breaker.on_cancelled(1050);
    EXPECT_EQ(breaker.state(), row.after_cancel);
  }
}

TEST(Breaker, OnlyFailuresInARowOpenIt) {
  Breaker breaker(3, 100);
  for (int round = 0; round < 5; ++round) {
    EXPECT_FALSE(breaker.on_failure(0));
    EXPECT_FALSE(breaker.on_failure(0));
    breaker.on_success();
  }
  EXPECT_FALSE(breaker.on_failure(0));
  EXPECT_FALSE(breaker.on_failure(0));
  EXPECT_TRUE(breaker.on_failure(0));
}

TEST(Breaker, LateFailuresDoNotProlongTheCooldown) {
  Breaker breaker = in_state(State::Open);
  breaker.on_failure(1099);
  EXPECT_TRUE(breaker.admit(1100));
}

TEST(Breaker, AFailedProbeWaitsForAWholeCooldown) {
  Breaker breaker = in_state(State::HalfOpen);
  EXPECT_TRUE(breaker.on_failure(1150));
  EXPECT_FALSE(breaker.admit(1249));
  EXPECT_TRUE(breaker.admit(1250));
}

TEST(Breaker, ACancelledProbeLetsTheNextCallProbe) {
  Breaker breaker = in_state(State::HalfOpen);
  breaker.on_cancelled(1101);
  EXPECT_TRUE(breaker.admit(1101));
  EXPECT_FALSE(breaker.admit(1101));
}

TEST(Breaker, ZeroNeverOpens) {
  Breaker breaker(0, 100);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(breaker.on_failure(0));
  EXPECT_TRUE(breaker.admit(0));
  Breaker open = in_state(State::Open);
  open.configure(0, 100);
  EXPECT_TRUE(open.admit(1001));
}

}  // namespace
}  // namespace beamgate::hook
