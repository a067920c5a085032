#include "common/base/segments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace beamgate {
namespace {

bool matches(std::string_view pattern, std::string_view name) {
  PatternSet patterns;
  patterns.add(pattern);
  return patterns.matching(name) == std::vector<std::string>{std::string(pattern)};
}

TEST(Segments, AStarStandsForOnePart) {
  EXPECT_TRUE(matches("chat:*", "chat:5"));
  EXPECT_TRUE(matches("*", "chat"));
  EXPECT_TRUE(matches("*.b.*", "a.b.c"));
  EXPECT_TRUE(matches("a/*", "a/b*"));
  EXPECT_TRUE(matches("a/*", "a/*"));
  EXPECT_FALSE(matches("chat:*", "chat:5:6"));
  EXPECT_FALSE(matches("chat:*", "chat:"));
  EXPECT_FALSE(matches("chat:*", "chat"));
  EXPECT_FALSE(matches("chat:*", "chat.5"));
  EXPECT_FALSE(matches("chat:*", "room:5"));
  EXPECT_FALSE(matches("chat", "chat:5"));
}

TEST(Segments, ASetTellsWhichPatternsMatch) {
  PatternSet patterns;
  EXPECT_TRUE(patterns.matching("a.b").empty());
  for (const char* pattern : {"*.*", "*.b", "a.*", "a.*.c", "*.c", "b.*", "a:*", "*"}) patterns.add(pattern);
  patterns.add("*.b");
  EXPECT_THAT(patterns.matching("a.b"), testing::UnorderedElementsAre("*.*", "*.b", "a.*"));
  patterns.remove("*.b");
  patterns.remove("a.b");
  EXPECT_THAT(patterns.matching("a.b"), testing::UnorderedElementsAre("*.*", "a.*"));
  patterns.remove_unless([](const std::string& pattern) { return pattern == "a.*"; });
  EXPECT_THAT(patterns.matching("a.b"), testing::ElementsAre("a.*"));
  EXPECT_EQ(patterns.size(), 1u);
}

TEST(Segments, AWildcardIsAWholePart) {
  EXPECT_TRUE(has_wildcard("*"));
  EXPECT_TRUE(has_wildcard("a:*"));
  EXPECT_TRUE(has_wildcard("a*.*.b"));
  EXPECT_FALSE(has_wildcard("a*"));
  EXPECT_FALSE(has_wildcard("a:b"));
  EXPECT_FALSE(has_wildcard(""));
}

}  // namespace
}  // namespace beamgate
