// The response parser: what a backend may say, cut at every byte, and for each thing it may say the nearest
// one that makes the response invalid.  A client must never see what a backend framed ambiguously.
#include "worker/upstream/response_parser.h"

#include <gtest/gtest.h>

#include <random>

namespace beamgate::upstream {
namespace {

using State = ResponseParser::State;

struct Parsed {
  State state = State::Head;
  int status = 0;
  std::string fields;  // "name=value;" ...
  std::optional<uint64_t> length;
  std::string body;
  std::string interims;  // "status name=value;" ...
  std::string trailers;
  bool reusable = false;
};

// Feeds `text` in pieces of `step` bytes, then ends the stream if asked.
Parsed parse(std::string_view text, size_t step = SIZE_MAX, bool eof = false, bool head_request = false,
             bool upgrade = false) {
  ResponseParser parser({.head = head_request, .upgrade = upgrade});
  Parsed out;
  for (size_t at = 0; at < text.size(); at += std::min(step, text.size() - at)) {
    std::string piece(text.substr(at, step));  // On the heap and exact, so that a sanitizer sees overruns.
    std::string_view body;
    parser.feed(piece, body);
    out.body.append(body);
    for (const http::ResponseHead& interim : parser.take_interims()) {
      out.interims += std::to_string(interim.status) + " ";
      for (const http::ResponseField& field : interim.fields) out.interims += field.name + "=" + field.value + ";";
    }
  }
  for (const http::ResponseField& field : parser.take_trailers()) out.trailers += field.name + "=" + field.value + ";";
  if (eof) parser.end();
  out.state = parser.state();
  out.status = parser.head().status;
  for (const http::ResponseField& field : parser.head().fields) out.fields += field.name + "=" + field.value + ";";
  out.length = parser.head().content_length;
  out.reusable = parser.reusable();
  return out;
}

TEST(ResponseParser, ReadsALengthAtEverySplit) {
  const std::string text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Empty:\r\nContent-Length: 5\r\n\r\nhello";
  for (size_t step = 1; step <= text.size(); ++step) {
    const Parsed got = parse(text, step);
    EXPECT_EQ(got.state, State::Complete) << step;
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.fields, "Content-Type=text/plain;X-Empty=;");
    EXPECT_EQ(got.length, 5u);
    EXPECT_EQ(got.body, "hello");
    EXPECT_TRUE(got.reusable);
  }
}

TEST(ResponseParser, ReadsChunksAtEverySplitAndKeepsTrailersApart) {
  const std::string text =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;ext=1\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\n"
      "X-Trailer: kept \r\nContent-Length: 9\r\nX-Empty:\r\nSet-Cookie: a=b\r\n\r\n";
  for (size_t step = 1; step <= text.size(); ++step) {
    const Parsed got = parse(text, step);
    EXPECT_EQ(got.state, State::Complete) << step;
    EXPECT_EQ(got.body, "hello 0123456789");
    EXPECT_EQ(got.fields, "");
    EXPECT_EQ(got.trailers, "X-Trailer=kept;X-Empty=;");
    EXPECT_FALSE(got.length.has_value());
    EXPECT_TRUE(got.reusable);
  }
}

TEST(ResponseParser, ABodyWithoutLengthEndsWithTheConnection) {
  const std::string text = "HTTP/1.1 200 OK\r\n\r\nuntil the end";
  EXPECT_EQ(parse(text).state, State::Body);
  const Parsed got = parse(text, 7, true);
  EXPECT_EQ(got.state, State::Complete);
  EXPECT_EQ(got.body, "until the end");
  EXPECT_FALSE(got.reusable);
}

TEST(ResponseParser, ABodyThatPromisedMoreIsInvalidAtTheEnd) {
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", 3, true).state, State::Invalid);
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 3, true).state,
            State::Invalid);
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\nContent-Le", 3, true).state, State::Invalid);
}

TEST(ResponseParser, AnEndBeforeTheFirstByteIsNotTheResponsesFault) {
  const Parsed got = parse("", 1, true);
  EXPECT_EQ(got.state, State::Head);
}

TEST(ResponseParser, SomeResponsesHaveNoBodyWhateverTheySay) {
  const Parsed head = parse("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 9, false, true);
  EXPECT_EQ(head.state, State::Complete);
  EXPECT_EQ(head.length, 100u);
  EXPECT_TRUE(head.reusable);
  const Parsed chunked = parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 9, false, true);
  EXPECT_EQ(chunked.state, State::Complete);
  EXPECT_TRUE(chunked.reusable);
  const Parsed unknown = parse("HTTP/1.1 200 OK\r\n\r\n", 9, false, true);
  EXPECT_EQ(unknown.state, State::Complete);
  EXPECT_TRUE(unknown.reusable);
  const Parsed not_modified = parse("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: \"a\"\r\n\r\n");
  EXPECT_EQ(not_modified.state, State::Complete);
  EXPECT_EQ(not_modified.length, 9u);
  EXPECT_TRUE(not_modified.reusable);
  const Parsed no_content = parse("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n");
  EXPECT_EQ(no_content.state, State::Complete);
  EXPECT_FALSE(no_content.length.has_value());
}

TEST(ResponseParser, HandsOutInterimResponses) {
  const std::string text =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
  for (size_t step = 1; step <= text.size(); ++step) {
    const Parsed got = parse(text, step);
    EXPECT_EQ(got.state, State::Complete) << step;
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.fields, "");
    EXPECT_EQ(got.body, "hi");
    EXPECT_EQ(got.interims, "103 Link=</a>;");  // A 100 was for us.
  }
}

TEST(ResponseParser, ManyInterimResponsesAreAnAttack) {
  std::string text;
  for (int i = 0; i < ResponseParser::kInterimMax; ++i) text += "HTTP/1.1 102 Processing\r\n\r\n";
  const std::string end = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  EXPECT_EQ(parse(text + end).state, State::Complete);
  EXPECT_EQ(parse(text + "HTTP/1.1 102 Processing\r\n\r\n" + end).state, State::Invalid);
}

TEST(ResponseParser, SwitchesToWhatWasAskedFor) {
  const std::string text =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n"
      "Date: y\r\n\r\n\x81\x02hi";
  for (size_t step = 1; step <= text.size(); ++step) {
    const Parsed got = parse(text, step, false, false, true);
    EXPECT_EQ(got.state, State::Switched) << step;
    EXPECT_EQ(got.status, 101);
    EXPECT_EQ(got.fields, "Sec-WebSocket-Accept=x;Date=y;");
    EXPECT_EQ(got.body, "\x81\x02hi");
    EXPECT_FALSE(got.reusable);
  }
  for (const char* wrong :
       {"Upgrade: h2c\r\nConnection: upgrade", "Upgrade: websocket", "Connection: upgrade",
        "Upgrade: websocket\r\nUpgrade: websocket\r\nConnection: upgrade",
        "Upgrade: websocket\r\nConnection: close", "Upgrade: websocket, h2c\r\nConnection: upgrade",
        "Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 0",
        "Upgrade: websocket\r\nConnection: upgrade\r\nTransfer-Encoding: chunked"}) {
    const std::string head = std::string("HTTP/1.1 101 Switching Protocols\r\n") + wrong + "\r\n\r\n";
    EXPECT_EQ(parse(head, SIZE_MAX, false, false, true).state, State::Invalid) << wrong;
  }
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", SIZE_MAX, false, false, true).state,
            State::Complete);  // It may decline.
}

TEST(ResponseParser, NeverSwitchesProtocolsUnasked) {
  EXPECT_EQ(parse("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n").state,
            State::Invalid);
  // Merely offering one is common and harmless.
  const Parsed offer =
      parse("HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade, Keep-Alive\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_EQ(offer.state, State::Complete);
  EXPECT_EQ(offer.fields, "");
  EXPECT_EQ(offer.body, "hi");
}

TEST(ResponseParser, DropsWhatBelongsToTheConnection) {
  const Parsed got = parse(
      "HTTP/1.1 200 OK\r\nConnection: x-secret , close\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n"
      "Proxy-Connection: keep-alive\r\nTrailer: x\r\nTE: x\r\nDate: x\r\nServer: x\r\nX-Accel-Redirect: /etc\r\n"
      "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(got.state, State::Complete);
  EXPECT_EQ(got.fields, "Date=x;Server=x;X-Accel-Redirect=/etc;Set-Cookie=a=1;Set-Cookie=b=2;");
  EXPECT_FALSE(got.reusable);
}

TEST(ResponseParser, BytesBehindAResponseEndTheConnectionsUse) {
  const Parsed got = parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(got.state, State::Complete);
  EXPECT_EQ(got.body, "hi");
  EXPECT_FALSE(got.reusable);
  EXPECT_FALSE(parse("HTTP/1.1 304 Not Modified\r\n\r\nx").reusable);
}

TEST(ResponseParser, OldProtocolClosesUnlessItSaysOtherwise) {
  EXPECT_FALSE(parse("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi").reusable);
  EXPECT_TRUE(parse("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi").reusable);
}

TEST(ResponseParser, InvalidResponses) {
  const std::string_view kInvalid[] = {
      "garbage",
      "HTTP/0.9 200 OK\r\n\r\n",
      "HTTP/2.0 200 OK\r\n\r\n",
      "http/1.1 200 OK\r\n\r\n",
      "ICY 200 OK\r\n\r\n",
      "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1 099 Low\r\n\r\n",
      "HTTP/1.1 600 High\r\n\r\n",
      "HTTP/1.1 abc OK\r\n\r\n",
      "\r\nHTTP/1.1 200 OK\r\n\r\n",
      "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n",
      "HTTP/1.1 200 OK\r\nX-A: a\rb\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX-A: a\r\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX-A: one\r\n\ttwo\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX-A : space\r\n\r\n",
      "HTTP/1.1 200 OK\r\n: nameless\r\n\r\n",
      "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX(A): bad\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX-A: \x01\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX-A: \x7f\r\n\r\n",
      "HTTP/1.1 200 \x1b[31m\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n",
      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
  };
  for (const std::string_view text : kInvalid) {
    EXPECT_EQ(parse(text).state, State::Invalid) << text;
    EXPECT_EQ(parse(text, 1).state, State::Invalid) << "byte by byte: " << text;
  }
  EXPECT_EQ(parse(std::string_view("HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n", 29)).state, State::Invalid);
}

TEST(ResponseParser, HeadsHaveLimits) {
  std::string fields;
  for (size_t i = 0; i < ResponseParser::kFieldsMax; ++i) fields += "X-A: b\r\n";
  EXPECT_EQ(parse("HTTP/1.1 204 OK\r\n" + fields + "\r\n").state, State::Complete);
  EXPECT_EQ(parse("HTTP/1.1 204 OK\r\n" + fields + "X-A: b\r\n\r\n").state, State::Invalid);

  const std::string large(ResponseParser::kHeadBytesMax - 100, 'x');
  EXPECT_EQ(parse("HTTP/1.1 204 OK\r\nX-A: " + large + "\r\n\r\n", 1000).state, State::Complete);
  const std::string too_large(ResponseParser::kHeadBytesMax, 'x');
  EXPECT_EQ(parse("HTTP/1.1 204 OK\r\nX-A: " + too_large + "\r\n\r\n", 1000).state, State::Invalid);
  EXPECT_EQ(parse("HTTP/1.1 204 OK\r\nX-A: " + too_large + "\r\n\r\n").state, State::Invalid);
}

TEST(ResponseParser, FramingOverheadHasALimit) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string long_text(http::ChunkDecoder::kOverheadBytesMax, 'x');
  EXPECT_EQ(parse(head + "1;a=b\r\nx\r\n0\r\nX-T: y\r\n\r\n", 5).state, State::Complete);
  EXPECT_EQ(parse(head + "1;" + long_text + "=b\r\nx\r\n", 500).state, State::Invalid);
  EXPECT_EQ(parse(head + "0\r\nX-T: " + long_text + "\r\n\r\n", 500).state, State::Invalid);
}

TEST(ResponseParser, SurvivesAnyBytes) {
  std::mt19937 random(7);
  const std::string good =
      "HTTP/1.1 200 OK\r\nContent-Type: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  for (int round = 0; round < 20'000; ++round) {
    std::string text = good;
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    const Parsed got = parse(text, 1 + random() % 40, true);
    EXPECT_NE(got.state, State::Head);
    EXPECT_LE(got.body.size(), text.size());
  }
}

}  // namespace
}  // namespace beamgate::upstream
