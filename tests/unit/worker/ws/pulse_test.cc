// Ping and idle decisions from one deadline, over every combination of what is configured and what was heard.
#include "worker/ws/pulse.h"

#include <gtest/gtest.h>

namespace beamgate::ws {
namespace {

using Due = Pulse::Due;

config::WebSocketAction with(int64_t ping_ms, int64_t idle_ms) {
  config::WebSocketAction action;
  action.ping_interval_ms = ping_ms;
  action.idle_timeout_ms = idle_ms;
  return action;
}

TEST(Pulse, APeerThatWasHeardIsLeftAlone) {
  const Pulse pulse = check_pulse(with(100, 250), 1050, 1000, true);
  EXPECT_EQ(pulse.due, Due::Nothing);
  EXPECT_EQ(pulse.next_ms, 1100);
}

TEST(Pulse, ASilentPeerIsPingedAndThenGivenUp) {
  const Pulse first = check_pulse(with(100, 250), 1100, 1000, true);
  EXPECT_EQ(first.due, Due::Ping);
  EXPECT_EQ(first.next_ms, 1200);
  const Pulse second = check_pulse(with(100, 250), 1200, 1000, true);
  EXPECT_EQ(second.due, Due::Ping);
  EXPECT_EQ(second.next_ms, 1250);
  EXPECT_EQ(check_pulse(with(100, 250), 1250, 1000, true).due, Due::Close);
}

TEST(Pulse, APeerThatIsNotReadIsNotGivenUp) {
  const Pulse pulse = check_pulse(with(100, 250), 9000, 1000, false);
  EXPECT_EQ(pulse.due, Due::Ping);
  EXPECT_EQ(pulse.next_ms, 9100);
}

TEST(Pulse, EitherOrBothCanBeOff) {
  EXPECT_EQ(check_pulse(with(0, 0), 9000, 1000, true).next_ms, 0);
  EXPECT_EQ(check_pulse(with(0, 250), 1100, 1000, true).next_ms, 1250);
  EXPECT_EQ(check_pulse(with(0, 250), 1250, 1000, true).due, Due::Close);
  EXPECT_EQ(check_pulse(with(100, 0), 9000, 1000, true).due, Due::Ping);
  EXPECT_EQ(check_pulse(with(100, 0), 9000, 1000, true).next_ms, 9100);
}

TEST(Pulse, AlwaysPingsClientsThatSpeakToo) {
  const Pulse pulse = check_pulse(with(100, 250), 1050, 1049, true, true);
  EXPECT_EQ(pulse.due, Due::Ping);
  EXPECT_EQ(pulse.next_ms, 1150);
}

}  // namespace
}  // namespace beamgate::ws
