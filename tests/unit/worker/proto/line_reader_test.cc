// Where a client's lines end, however they come, and how publications of all kinds become one line each.
#include "worker/proto/line_reader.h"

#include <gtest/gtest.h>

namespace beamgate::proto {
namespace {

using Kind = LineStep::Kind;

TEST(LineReader, LinesEndWithLfOrCrLf) {
  const LineStep plain = read_line("JOIN a\nrest", 10);
  EXPECT_EQ(plain.kind, Kind::Line);
  EXPECT_EQ(plain.line, "JOIN a");
  EXPECT_EQ(plain.consumed, 7u);
  const LineStep telnet = read_line("hi\r\n", 10);
  EXPECT_EQ(telnet.line, "hi");
  EXPECT_EQ(telnet.consumed, 4u);
  EXPECT_EQ(read_line("\n", 10).line, "");
  EXPECT_EQ(read_line("a\rb\n", 10).line, "a\rb");
}

TEST(LineReader, WaitsForTheEnd) {
  EXPECT_EQ(read_line("", 4).kind, Kind::NeedMore);
  EXPECT_EQ(read_line("abcd", 4).kind, Kind::NeedMore);
  EXPECT_EQ(read_line("abcd\r", 4).kind, Kind::NeedMore);
}

TEST(LineReader, ALongLineIsNone) {
  EXPECT_EQ(read_line("abcd\n", 4).line, "abcd");
  EXPECT_EQ(read_line("abcd\r\n", 4).line, "abcd");
  EXPECT_EQ(read_line("abcde\n", 4).kind, Kind::TooLong);
  EXPECT_EQ(read_line("abcde", 4).kind, Kind::TooLong);
  EXPECT_EQ(read_line("abcd\rx", 4).kind, Kind::TooLong);
}

std::string line(ipc::PayloadKind kind, std::string_view payload) {
  std::string out;
  write_line(kind, payload, out);
  return out;
}

TEST(LineReader, PublicationsAreOneLine) {
  EXPECT_EQ(line(ipc::PayloadKind::Text, "a\r\nb"), "a  b\n");
  EXPECT_EQ(line(ipc::PayloadKind::Text, "\"a\""), "\"a\"\n");
  EXPECT_EQ(line(ipc::PayloadKind::Json, "\"h\\u00e4\\nb\""), "h\xc3\xa4 b\n");
  EXPECT_EQ(line(ipc::PayloadKind::Json, "{\"a\": \"b\"}"), "{\"a\": \"b\"}\n");
  EXPECT_EQ(line(ipc::PayloadKind::Json, "12"), "12\n");
  EXPECT_EQ(line(ipc::PayloadKind::Binary, std::string_view("\0\n", 2)), "data:application/octet-stream;base64,AAo=\n");
}

}  // namespace
}  // namespace beamgate::proto
