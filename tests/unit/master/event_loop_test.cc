#include "master/event_loop.h"

#include <gtest/gtest.h>

namespace beamgate::master {
namespace {

// A start without anything to wait for would else wait for its first timer.
TEST(EventLoop, WhatWasGatheredBeforeTheFirstTurnDoesNotWaitForIt) {
  EventLoop loop;
  int turns = 0;
  loop.set_turn_end([&] {
    ++turns;
    loop.stop();
  });
  loop.run();
  EXPECT_EQ(turns, 1);
}

}  // namespace
}  // namespace beamgate::master
