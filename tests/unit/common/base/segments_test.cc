#include "common/base/segments.h"

#include <gtest/gtest.h>

namespace beamgate {
namespace {

TEST(Segments, AStarStandsForOnePart) {
  EXPECT_TRUE(matches_segments("chat:*", "chat:5"));
  EXPECT_TRUE(matches_segments("*", "chat"));
  EXPECT_TRUE(matches_segments("*.b.*", "a.b.c"));
  EXPECT_TRUE(matches_segments("a/*", "a/b*"));
  EXPECT_FALSE(matches_segments("chat:*", "chat:5:6"));
  EXPECT_FALSE(matches_segments("chat:*", "chat:"));
  EXPECT_FALSE(matches_segments("chat:*", "chat"));
  EXPECT_FALSE(matches_segments("chat:*", "chat.5"));
  EXPECT_FALSE(matches_segments("chat:*", "room:5"));
  EXPECT_FALSE(matches_segments("chat", "chat:5"));
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
