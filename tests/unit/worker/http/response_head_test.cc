// Response heads: framing for each kind of client, and that no value can end a line.
#include "worker/http/response_head.h"

#include <gtest/gtest.h>

namespace beamgate::http {
namespace {

std::string write(const ResponseHead& head, std::string_view method, int version_minor, bool keep_alive) {
  const ResponseContext context{method, version_minor, keep_alive, "NOW", "BeamGate"};
  std::string out;
  write_response_head(head, choose_framing(head, context), context, out);
  return out;
}

constexpr const char* kStart = "HTTP/1.1 200 OK\r\nServer: BeamGate\r\nDate: NOW\r\n";

TEST(ResponseHead, FramingTable) {
  const ResponseHead sized{200, {}, 5};
  const ResponseHead unsized{200, {}};
  EXPECT_EQ(write(sized, "GET", 1, true), std::string(kStart) + "Content-Length: 5\r\n\r\n");
  EXPECT_EQ(write(sized, "GET", 1, false),
            std::string(kStart) + "Content-Length: 5\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(write(sized, "HEAD", 1, true), std::string(kStart) + "Content-Length: 5\r\n\r\n");
  EXPECT_EQ(write(sized, "GET", 0, true),
            std::string(kStart) + "Content-Length: 5\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(write(unsized, "GET", 1, true), std::string(kStart) + "Transfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(write(unsized, "HEAD", 1, true), std::string(kStart) + "\r\n");
  EXPECT_EQ(write(unsized, "GET", 0, true), std::string(kStart) + "Connection: close\r\n\r\n");
  for (const uint16_t status : {uint16_t{204}, uint16_t{304}}) {
    const std::string text = write(ResponseHead{status, {}}, "GET", 1, true);
    EXPECT_EQ(text.find("Transfer-Encoding"), text.npos);
    EXPECT_EQ(text.find("Content-Length"), text.npos);
  }
  EXPECT_EQ(write(ResponseHead{204, {}, 0}, "GET", 1, true).find("Content-Length"), std::string::npos);
}

// "keepalive_timeout 65 60": clients that are kept are told so, as nginx does.
TEST(ResponseHead, KeepAliveSaysForHowLong) {
  const auto told = [](int version_minor, bool keep_alive) {
    const ResponseContext context{"GET", version_minor, keep_alive, "NOW", "BeamGate", 60};
    const ResponseHead head{200, {}, 0};
    std::string out;
    write_response_head(head, choose_framing(head, context), context, out);
    return out.substr(out.find("Content-Length: 0\r\n") + 19);
  };
  EXPECT_EQ(told(1, true), "Connection: keep-alive\r\nKeep-Alive: timeout=60\r\n\r\n");
  EXPECT_EQ(told(0, true), "Connection: keep-alive\r\nKeep-Alive: timeout=60\r\n\r\n");
  EXPECT_EQ(told(1, false), "Connection: close\r\n\r\n");
}

TEST(ResponseHead, ValuesCanNotEndALine) {
  const std::string hostile = std::string("a\r\nSet-Cookie: x\n\r\n") + '\0' + "b\x7f";
  const std::string text = write(ResponseHead{200, {{"X", hostile}}, 0}, "GET", 1, true);
  EXPECT_NE(text.find("X: a  Set-Cookie: x    b \r\n"), text.npos) << text;
  EXPECT_EQ(write(ResponseHead{200, {{"X\r\nY", "z"}, {"", "z"}, {"X Y", "z"}}, 0}, "GET", 1, true),
            std::string(kStart) + "Content-Length: 0\r\n\r\n");
}

TEST(ResponseHead, FramingFieldsOfHandlersAreLeftOut) {
  const ResponseHead head{200,
                          {{"content-length", "9"},
                           {"Transfer-Encoding", "chunked"},
                           {"Connection", "x"},
                           {"Keep-Alive", "y"},
                           {"Kept", "k"}},
                          5};
  EXPECT_EQ(write(head, "GET", 1, true), std::string(kStart) + "Kept: k\r\nContent-Length: 5\r\n\r\n");
}

TEST(ResponseHead, ADateOrServerThatIsPassedOnStandsInForOurs) {
  const std::string text = write(ResponseHead{200, {{"DATE", "z"}, {"Server", "s"}}, 0}, "GET", 1, true);
  EXPECT_EQ(text, "HTTP/1.1 200 OK\r\nDATE: z\r\nServer: s\r\nContent-Length: 0\r\n\r\n");
}

TEST(ResponseHead, InterimHeadsFrameNothing) {
  std::string out;
  write_interim_head(103, {{"Link", "</a>\r\nX: y"}, {"Content-Length", "5"}, {"Connection", "close"}}, out);
  EXPECT_EQ(out, "HTTP/1.1 103 Early Hints\r\nLink: </a>  X: y\r\n\r\n");
}

TEST(ResponseHead, SwitchingAndChunkSizes) {
  std::string out;
  write_switching_head({{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}, "BeamGate", out);
  EXPECT_EQ(out,
            "HTTP/1.1 101 Switching Protocols\r\nServer: BeamGate\r\nConnection: Upgrade\r\nUpgrade: "
            "websocket\r\n\r\n");
  out.clear();
  write_chunk_size(255, out);
  EXPECT_EQ(out, "ff\r\n");
}

}  // namespace
}  // namespace beamgate::http
