// What a FastCGI server may say, in one piece and byte by byte, and what makes a response invalid.
#include "worker/fastcgi/response_parser.h"

#include <gtest/gtest.h>

#include "common/base/bytes.h"

namespace beamgate::fastcgi {
namespace {

using State = http::ResponseReader::State;

std::string record(uint8_t type, std::string_view content, size_t padding = 0, uint8_t version = 1, uint16_t id = 1) {
  char header[kHeaderBytes] = {static_cast<char>(version), static_cast<char>(type)};
  store_be(header + 2, id);
  store_be(header + 4, static_cast<uint16_t>(content.size()));
  header[6] = static_cast<char>(padding);
  return std::string(header, sizeof header).append(content).append(padding, '!');
}

std::string out(std::string_view text, size_t padding = 0) { return record(6, text, padding); }
std::string err(std::string_view text) { return record(7, text); }
std::string ended(uint8_t protocol_status = 0, size_t padding = 0) {
  std::string content(kEndRequestBytes, '\0');
  content[4] = static_cast<char>(protocol_status);
  return record(3, content, padding);
}

struct Seen {
  State state = State::Head;
  uint16_t status = 0;
  std::string fields;
  std::string body;
  std::string errors;
  bool reusable = false;
  http::ResponseReader::Failure failure;
};

// Feeds pieces of this size; then EOF, where the response isn't complete.
Seen read(const std::string& bytes, size_t piece = SIZE_MAX, bool to_head = false) {
  ResponseParser parser(to_head);
  Seen seen;
  std::string copy = bytes;
  for (size_t at = 0; at < copy.size();) {
    const size_t size = std::min(piece, copy.size() - at);
    std::string_view body;
    seen.state = parser.feed({copy.data() + at, size}, body);
    seen.body += body;
    seen.errors += parser.take_errors();
    at += size;
  }
  seen.reusable = parser.reusable();
  if (seen.state != State::Complete) seen.state = parser.end();
  seen.status = parser.head().status;
  for (const auto& field : parser.head().fields) seen.fields += field.name + "=" + field.value + ";";
  seen.failure = parser.failure();
  return seen;
}

constexpr std::string_view kPage = "Content-Type: text/html\r\nX-A:  b \r\n\r\nhello";

TEST(FastcgiResponse, APageInPiecesOfEverySize) {
  const std::string bytes = out(kPage.substr(0, 10), 7) + err("PHP warning") + out(kPage.substr(10, 20)) +
                            out(kPage.substr(30), 255) + out("") + ended(0, 5);
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    const Seen seen = read(bytes, piece);
    ASSERT_EQ(seen.state, State::Complete) << piece;
    EXPECT_EQ(seen.status, 200);
    EXPECT_EQ(seen.fields, "Content-Type=text/html;X-A=b;");
    EXPECT_EQ(seen.body, "hello");
    EXPECT_EQ(seen.errors, "PHP warning");
    EXPECT_TRUE(seen.reusable) << piece;
  }
  EXPECT_TRUE(read(bytes).reusable);
  EXPECT_TRUE(read(out(kPage) + ended()).reusable);  // An empty STDOUT isn't sent by all.
  EXPECT_FALSE(read(bytes + "x").reusable);
  EXPECT_FALSE(read(bytes.substr(0, bytes.size() - 1)).reusable);  // Padding is still to come.
}

TEST(FastcgiResponse, StatusAndLocation) {
  const auto status_of = [](const std::string& head) {
    const Seen seen = read(out(head + "\r\n") + ended());
    return seen.state == State::Complete ? seen.status : 0;
  };
  EXPECT_EQ(status_of("Status: 404 Not Found\r\n"), 404);
  EXPECT_EQ(status_of("Status: 404\n"), 404);
  EXPECT_EQ(status_of("status:599 x\n"), 599);
  EXPECT_EQ(status_of("Location: /x\n"), 302);
  EXPECT_EQ(status_of("Location: /x\nStatus: 301 Moved\n"), 301);
  EXPECT_EQ(status_of("Status: 201 Created\nLocation: /x\n"), 201);
  EXPECT_EQ(status_of("Content-Type: text/plain\n"), 200);
  for (const char* bad : {"Status: 99\n", "Status: 600\n", "Status: 101 x\n", "Status: 4040\n", "Status: abc\n", "Status:\n",
                          "Status: 200\nStatus: 200\n", "no colon\n", "Na me: x\n", ": x\n", " folded: x\n",
                          "A: b\n folded\n", "A: b\x01\n", "Content-Length: x\n", "Content-Length: -1\n",
                          "Content-Length: 0\nContent-Length: 0\n", ""}) {
    EXPECT_EQ(status_of(bad), 0) << bad;
  }
  EXPECT_EQ(status_of(std::string("A: b\0c\n", 7)), 0);
  EXPECT_EQ(status_of("A: b\rc\n"), 0);
}

TEST(FastcgiResponse, LengthsThatTheScriptSays) {
  const auto with = [](const char* length, std::string_view body) {
    return out("Content-Length: " + std::string(length) + "\n\n" + std::string(body)) + ended();
  };
  EXPECT_EQ(read(with("5", "hello")).state, State::Complete);
  EXPECT_TRUE(read(with("5", "hello")).reusable);
  const Seen more = read(with("5", "hello world"));
  EXPECT_EQ(more.state, State::Complete);
  EXPECT_EQ(more.body, "hello");
  EXPECT_FALSE(more.reusable);
  EXPECT_EQ(read(with("6", "hello")).state, State::Invalid);
  EXPECT_EQ(read(with("6", ""), SIZE_MAX, true).state, State::Complete);  // An answer to HEAD.
  EXPECT_EQ(read(out("Status: 204\nContent-Length: 6\n\n") + ended()).state, State::Complete);
}

TEST(FastcgiResponse, AnswersWithoutABodyHaveNone) {
  EXPECT_EQ(read(out(kPage) + ended(), SIZE_MAX, true).body, "");
  EXPECT_EQ(read(out("Status: 304\n\nhello") + ended()).body, "");
  EXPECT_EQ(read(out("Status: 204\n\nhello") + ended()).body, "");
}

TEST(FastcgiResponse, WhatIsNoResponse) {
  for (const std::string& bad : {
           record(6, kPage, 0, 2) + ended(),          // Another version,
           record(6, kPage, 0, 1, 2) + ended(),       // another request,
           record(6, kPage, 0, 1, 257) + ended(),
           record(10, "") + out(kPage) + ended(),     // other types,
           record(5, "x") + out(kPage) + ended(),
           record(0, "") + out(kPage) + ended(),
           out(kPage) + record(3, "1234567"),         // an end that is too short, or too long,
           out(kPage) + record(3, "123456789"),
           out(kPage) + out("") + out("more") + ended(),  // bytes behind the stream's end,
           out(kPage),                                // no end,
           out(kPage) + ended().substr(0, 15),
           out("Content-Type: text/html\r\n") + ended(),  // a head that never ends,
           ended(), err("dying") + ended(),           // nothing at all,
           out(kPage) + ended(1), out(kPage) + ended(3),  // a request that was refused.
       }) {
    for (const size_t piece : {SIZE_MAX, size_t{1}}) EXPECT_EQ(read(bad, piece).state, State::Invalid) << bad;
  }
  EXPECT_EQ(read("").state, State::Head);  // Nobody has answered yet: another connection may.
}

TEST(FastcgiResponse, AnOverloadedServerHasDoneNothing) {
  const Seen seen = read(ended(2));
  EXPECT_EQ(seen.state, State::Invalid);
  EXPECT_EQ(seen.failure.status, 503);
  EXPECT_EQ(seen.failure.reason, config::kNextError);
  EXPECT_TRUE(seen.failure.untouched);
  EXPECT_FALSE(read(ended(3)).failure.untouched);
}

TEST(FastcgiResponse, HeadsAreBounded) {
  const auto head = [](size_t bytes) {
    std::string text = "A: " + std::string(bytes - 5, 'x') + "\n\n";  // As long as `bytes`, its empty line included.
    std::string records;
    for (size_t at = 0; at < text.size(); at += 60'000) records += out(std::string_view(text).substr(at, 60'000));
    return records + ended();
  };
  EXPECT_EQ(read(head(ResponseParser::kHeadBytesMax)).state, State::Complete);
  EXPECT_EQ(read(head(ResponseParser::kHeadBytesMax + 1)).state, State::Invalid);
  std::string fields;
  for (size_t i = 0; i < ResponseParser::kFieldsMax; ++i) fields += "a:b\n";
  EXPECT_EQ(read(out(fields + "\n") + ended()).state, State::Complete);
  EXPECT_EQ(read(out(fields + "a:b\n\n") + ended()).state, State::Invalid);
}

TEST(FastcgiResponse, ErrorsAreBounded) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += err(std::string(1'000, 'e'));
  const Seen seen = read(bytes + out(kPage) + ended());
  EXPECT_EQ(seen.state, State::Complete);
  EXPECT_EQ(seen.errors.size(), ResponseParser::kErrorBytesMax);
}

}  // namespace
}  // namespace beamgate::fastcgi
