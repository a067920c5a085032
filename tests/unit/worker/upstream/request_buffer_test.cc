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
  ASSERT_TRUE(buffer.append_body("0123456789abcdef", BodyFraming::Chunked).ok());
  ASSERT_TRUE(buffer.append_body("", BodyFraming::Chunked).ok());
  ASSERT_TRUE(buffer.append_end(BodyFraming::Chunked).ok());
  EXPECT_EQ(buffer.unsent(), "HEAD10\r\n0123456789abcdef\r\n0\r\n\r\n");
}

TEST(RequestBuffer, LeavesALengthAlone) {
  RequestBuffer buffer = buffer_with_head(100);
  ASSERT_TRUE(buffer.append_body("body", BodyFraming::Plain).ok());
  ASSERT_TRUE(buffer.append_end(BodyFraming::Plain).ok());
  EXPECT_EQ(buffer.unsent(), "HEADbody");
}

TEST(RequestBuffer, FramesRecordsInMemoryAndInAFile) {
  const std::string directory = testing::TempDir();
  const std::string record("\1\5\0\1\0\4\0\0", 8);
  const std::string end("\1\5\0\1\0\0\0\0", 8);
  for (const size_t limit : {100, 12, 4}) {
    RequestBuffer buffer = buffer_with_head(limit);
    buffer.hold(directory);
    for (const char* part : {"abcd", "", "efgh"}) ASSERT_TRUE(buffer.append_body(part, BodyFraming::Stdin).ok());
    ASSERT_TRUE(buffer.append_end(BodyFraming::Stdin).ok());
    EXPECT_EQ(buffer.body_bytes(), 8u);
    std::string sent;
    while (!buffer.unsent().empty()) {
      sent += buffer.unsent().substr(0, 3);
      ASSERT_TRUE(buffer.sent(std::min<size_t>(buffer.unsent().size(), 3)).ok());
    }
    EXPECT_EQ(sent, "HEAD" + record + "abcd" + record + "efgh" + end) << limit;
  }
}

TEST(RequestBuffer, RewindsWhileEverythingFits) {
  RequestBuffer buffer = buffer_with_head(8);
  EXPECT_EQ(buffer.body_room(), 8u);
  ASSERT_TRUE(buffer.append_body("12345678", BodyFraming::Plain).ok());
  EXPECT_EQ(buffer.body_room(), 0u);
  ASSERT_TRUE(buffer.sent(12).ok());
  EXPECT_EQ(buffer.unsent(), "");
  ASSERT_TRUE(buffer.can_rewind());
  buffer.rewind();
  EXPECT_EQ(buffer.unsent(), "HEAD12345678");
}

TEST(RequestBuffer, ForgetsWhatWasSentWhenMoreComes) {
  RequestBuffer buffer = buffer_with_head(8);
  ASSERT_TRUE(buffer.append_body("12345678", BodyFraming::Plain).ok());
  ASSERT_TRUE(buffer.sent(6).ok());
  EXPECT_EQ(buffer.body_room(), 6u);
  ASSERT_TRUE(buffer.append_body("abcdef", BodyFraming::Plain).ok());
  EXPECT_EQ(buffer.unsent(), "345678abcdef");
  EXPECT_FALSE(buffer.can_rewind());
}

TEST(RequestBuffer, HoldsWhatDoesNotFitInAFile) {
  const std::string directory = "/tmp";
  RequestBuffer buffer = buffer_with_head(8);
  buffer.hold(directory);
  std::string body;
  for (int i = 0; body.size() < 3 * BodyFile::kPieceBytes; ++i) {
    const std::string part = std::to_string(i) + ",";
    ASSERT_GE(buffer.body_room(), part.size());
    ASSERT_TRUE(buffer.append_body(part, BodyFraming::Plain).ok());
    body += part;
  }
  EXPECT_EQ(buffer.body_bytes(), body.size());
  buffer.replace_head("LONGER");
  for (int time = 0; time < 2; ++time) {  // It can be sent again, and from the middle.
    std::string sent;
    for (size_t step = 1; !buffer.unsent().empty(); step = step * 3 + 1) {
      if (time == 0 && sent.size() > 100'000) break;
      const std::string_view part = buffer.unsent().substr(0, step);
      sent += part;
      ASSERT_TRUE(buffer.sent(part.size()).ok());
    }
    EXPECT_EQ(sent == "LONGER" + body, time == 1);
    ASSERT_TRUE(buffer.can_rewind());
    buffer.rewind();
  }
}

TEST(RequestBuffer, ADirectoryThatIsNotThereIsAnError) {
  const std::string directory = "/nowhere/at/all";
  RequestBuffer buffer = buffer_with_head(8);
  buffer.hold(directory);
  EXPECT_TRUE(buffer.append_body("12345678", BodyFraming::Plain).ok());
  EXPECT_FALSE(buffer.append_body("9", BodyFraming::Plain).ok());
}

TEST(RequestBuffer, AStreamIsBoundedAndForgotten) {
  RequestBuffer buffer = buffer_with_head(8);
  buffer.begin_stream(10);
  EXPECT_EQ(buffer.unsent(), "");
  ASSERT_TRUE(buffer.append_body("0123456789", BodyFraming::Plain).ok());
  EXPECT_EQ(buffer.body_room(), 0u);
  ASSERT_TRUE(buffer.sent(10).ok());
  EXPECT_EQ(buffer.body_room(), 10u);
  EXPECT_FALSE(buffer.can_rewind());
}

}  // namespace
}  // namespace beamgate::upstream
