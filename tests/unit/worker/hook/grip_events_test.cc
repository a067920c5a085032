// WebSocket-over-HTTP's events, byte for byte, and the signature of requests; and what is no body of events.
#include "worker/hook/grip_events.h"

#include <gtest/gtest.h>

#include "common/base/bytes.h"

namespace beamgate::hook {
namespace {

using Kind = GripEvent::Kind;

std::string vector_body() {
  std::string out;
  write_grip_event(Kind::Open, "", out);
  write_grip_event(Kind::Text, "hello", out);
  write_grip_event(Kind::Binary, "\1\2\3", out);
  write_grip_event(Kind::Ping, "", out);
  write_grip_event(Kind::Close, "\x03\xe8", out);
  return out;
}

TEST(GripEvents, AreWrittenAsTheVector) {
  EXPECT_EQ(to_hex(vector_body()),
            "4f50454e0d0a5445585420350d0a68656c6c6f0d0a42494e41525920330d0a0102030d0a50494e470d0a434c4f534520320d0a03e80d0a");
}

TEST(GripEvents, AreReadAgain) {
  const std::string body = vector_body() + "TEXT 0\r\n\r\nDISCONNECT\r\nTEXT 1A\r\nabcdefghijklmnopqrstuvwxyz\r\n";
  const auto events = parse_grip_events(body);
  ASSERT_TRUE(events.ok());
  const Kind kinds[] = {Kind::Open, Kind::Text, Kind::Binary, Kind::Ping, Kind::Close, Kind::Text, Kind::Disconnect,
                        Kind::Text};
  ASSERT_EQ(events.value().size(), std::size(kinds));
  for (size_t i = 0; i < std::size(kinds); ++i) EXPECT_EQ(events.value()[i].kind, kinds[i]);
  EXPECT_EQ(events.value()[1].content, "hello");
  EXPECT_EQ(events.value()[4].content, "\x03\xe8");
  EXPECT_EQ(events.value()[7].content.size(), 26u);
  EXPECT_TRUE(parse_grip_events("").ok());
}

TEST(GripEvents, NothingElseIsRead) {
  for (const char* body : {"OPEN", "OPEN\n", "HELLO\r\n", "TEXT x\r\n\r\n", "TEXT 5\r\nhell\r\n", "TEXT 5\r\nhello", "open\r\n",
                           "TEXT -1\r\n\r\n", "TEXT 0x1\r\na\r\n", "TEXT \r\n\r\n", "TEXT ffffffffffffffff\r\na\r\n",
                           "TEXT 10000000000000000\r\n\r\n", "TEXT 1\r\nab\r\n", "\r\n", " 1\r\na\r\n"}) {
    EXPECT_FALSE(parse_grip_events(body).ok()) << body;
  }
}

TEST(GripEvents, SignatureIsTheVector) {
  EXPECT_EQ(grip_signature("changeme", "pushpin", 1790000000),
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJwdXNocGluIiwiZXhwIjoxNzkwMDAzNjAwfQ."
            "fco5QqKbqFz2JehN0YsV3sxww5c1gmvZu_CyaK1oqkw");
}

}  // namespace
}  // namespace beamgate::hook
