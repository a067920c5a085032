// Channel patterns: stars, question marks and escapes match what they say and nothing else, and a pattern made
// to be slow is not.
#include "common/base/glob.h"

#include <gtest/gtest.h>

#include "common/base/clock.h"

namespace beamgate {
namespace {

TEST(ChannelPattern, WholeNames) {
  EXPECT_TRUE(matches("room", "room"));
  EXPECT_FALSE(matches("room", "rooms"));
  EXPECT_FALSE(matches("rooms", "room"));
  EXPECT_FALSE(matches("", "room"));
  EXPECT_TRUE(matches("", ""));
}

TEST(ChannelPattern, Stars) {
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("*", "room"));
  EXPECT_TRUE(matches("room:*", "room:"));
  EXPECT_TRUE(matches("room:*", "room:a:b"));
  EXPECT_FALSE(matches("room:*", "rooms"));
  EXPECT_TRUE(matches("*:chat", "a:chat:chat"));
  EXPECT_FALSE(matches("*:chat", "a:chat:chats"));
  EXPECT_TRUE(matches("a*b*c", "a-b-b-c"));
  EXPECT_FALSE(matches("a*b*c", "a-b-b-"));
  EXPECT_TRUE(matches("a**", "a"));
}

TEST(ChannelPattern, OneByte) {
  EXPECT_TRUE(matches("ro?m", "room"));
  EXPECT_FALSE(matches("ro?m", "rom"));
  EXPECT_FALSE(matches("?", ""));
}

TEST(ChannelPattern, Escapes) {
  EXPECT_TRUE(matches("a\\*", "a*"));
  EXPECT_FALSE(matches("a\\*", "ab"));
  EXPECT_TRUE(matches("a\\?", "a?"));
  EXPECT_FALSE(matches("a\\?", "ab"));
  EXPECT_TRUE(matches("a\\\\b", "a\\b"));
  EXPECT_TRUE(matches("a\\", "a\\"));  // Nothing behind it: the byte itself.
}

TEST(ChannelPattern, HostilePatternEnds) {
  std::string pattern;
  for (int i = 0; i < 120; ++i) pattern += "a*";
  pattern += 'b';
  const int64_t begin = monotonic_ms();
  EXPECT_FALSE(matches(pattern, std::string(255, 'a')));
  EXPECT_LT(monotonic_ms() - begin, 1000);
}

TEST(ChannelPattern, LiteralPrefix) {
  EXPECT_EQ(literal_prefix("room:*"), "room:");
  EXPECT_EQ(literal_prefix("ro?m"), "ro");
  EXPECT_EQ(literal_prefix("*"), "");
  EXPECT_EQ(literal_prefix("a\\*b*"), "a*b");
  EXPECT_EQ(literal_prefix("plain"), "plain");
}

}  // namespace
}  // namespace beamgate
