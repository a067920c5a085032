// The request buffer: bounded, and able to send again exactly as long as it still holds everything.
#include "worker/upstream/request_buffer.h"

#include <gtest/gtest.h>

namespace beamgate::upstream {
namespace {

RequestBuffer buffer_with_head(size_t limit) {
  RequestBuffer buffer;
  buffer.head() = "HEAD";
  buffer.set_body_limit(limit);
  return buffer;
}

TEST(RequestBuffer, FramesChunks) {
  RequestBuffer buffer = buffer_with_head(100);
  buffer.append_body("0123456789abcdef", true);
  buffer.append_body("", true);
  buffer.append_end(true);
  EXPECT_EQ(buffer.unsent(), "HEAD10\r\n0123456789abcdef\r\n0\r\n\r\n");
}

TEST(RequestBuffer, LeavesALengthAlone) {
  RequestBuffer buffer = buffer_with_head(100);
  buffer.append_body("body", false);
  buffer.append_end(false);
  EXPECT_EQ(buffer.unsent(), "HEADbody");
}

TEST(RequestBuffer, RewindsWhileEverythingFits) {
  RequestBuffer buffer = buffer_with_head(8);
  EXPECT_EQ(buffer.body_room(), 8u);
  buffer.append_body("12345678", false);
  EXPECT_EQ(buffer.body_room(), 0u);
  buffer.sent(12);
  EXPECT_EQ(buffer.unsent(), "");
  ASSERT_TRUE(buffer.can_rewind());
  buffer.rewind();
  EXPECT_EQ(buffer.unsent(), "HEAD12345678");
}

TEST(RequestBuffer, ForgetsWhatWasSentWhenMoreComes) {
  RequestBuffer buffer = buffer_with_head(8);
  buffer.append_body("12345678", false);
  buffer.sent(6);
  EXPECT_EQ(buffer.body_room(), 6u);
  buffer.append_body("abcdef", false);
  EXPECT_EQ(buffer.unsent(), "345678abcdef");
  EXPECT_FALSE(buffer.can_rewind());
}

}  // namespace
}  // namespace beamgate::upstream
