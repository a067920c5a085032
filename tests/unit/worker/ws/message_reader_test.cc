// The message reader's whole behaviour is a function of the client's bytes: however they are cut into reads, the
// same messages, control frames and failures come out, and nothing stays allocated.
#include "worker/ws/message_reader.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "common/base/utf8.h"
#include "tests/unit/worker/ws/client_frames.h"

namespace beamgate::ws {
namespace {

using namespace testing;
using record::Arena;
using record::Record;

// A connection's record, and everything that was read from it as text.
class Peer {
 public:
  explicit Peer(MessageLimits limits = {.message_bytes_max = 64 << 10})
      : limits_(limits), arena_(Arena::map({}, 1).value()), reader_(arena_), record_(arena_.records()[0]) {
    record_ = Record{};
  }
  ~Peer() {
    reader_.done();
    reader_.forget(record_);
    EXPECT_EQ(arena_.bytes_live(), 0u);
  }

  // Hands over bytes as Connections does: what is left over comes again, with more behind it.
  void feed(std::string_view bytes) {
    std::string input = carry_ + std::string(bytes);
    size_t used = 0;
    while (!failed_) {
      const Step step = reader_.read(record_, std::span(input).subspan(used), limits_);
      if (step.kind == Step::Kind::NeedMore) break;
      used += step.consumed;
      note(step);
      reader_.done();
    }
    carry_ = failed_ ? std::string() : input.substr(used);
    EXPECT_LE(carry_.size(), 131u);
  }

  const std::string& log() const { return log_; }
  bool failed() const { return failed_; }
  Record& record() { return record_; }
  Arena& arena() { return arena_; }

 private:
  void note(const Step& step) {
    const std::string payload(step.payload.begin(), step.payload.end());
    switch (step.kind) {
      case Step::Kind::Message:
        log_ += step.opcode == Opcode::Text ? "text " : "binary ";
        log_ += step.compressed ? "compressed " : "";
        log_ += payload;
        EXPECT_TRUE(step.opcode == Opcode::Binary || step.compressed || valid_utf8(payload));
        break;
      case Step::Kind::Ping:
        log_ += "ping " + payload;
        break;
      case Step::Kind::Pong:
        log_ += "pong " + payload;
        break;
      case Step::Kind::Close:
        log_ += "close " + payload;
        break;
      case Step::Kind::Failure:
        log_ += "failure " + std::to_string(step.code);
        failed_ = true;
        break;
      case Step::Kind::Progress:
      case Step::Kind::NeedMore:
        return;
    }
    log_ += "\n";
  }

  MessageLimits limits_;
  Arena arena_;
  MessageReader reader_;
  Record& record_;
  std::string carry_;
  std::string log_;
  bool failed_ = false;
};

std::string read_whole(std::string_view bytes, MessageLimits limits = {.message_bytes_max = 64 << 10}) {
  Peer peer(limits);
  peer.feed(bytes);
  return peer.log();
}

std::string read_bytewise(std::string_view bytes, MessageLimits limits = {.message_bytes_max = 64 << 10}) {
  Peer peer(limits);
  for (const char byte : bytes) peer.feed({&byte, 1});
  return peer.log();
}

const std::string& conversation() {
  static const std::string bytes =
      client_frame(kText, "one") + client_frame(kBinary, std::string("\0\xff", 2)) + client_frame(kText, "") +
      client_frame(kText, "fr", {.fin = false}) + client_frame(kPing, "between") +
      client_frame(kContinuation, "\xe2\x82", {.fin = false}) + client_frame(kContinuation, "", {.fin = false}) +
      client_frame(kContinuation, "\xac end") + client_frame(kPong, "") + client_frame(kPing, std::string(125, 'p')) +
      client_frame(kBinary, std::string(300, 'b')) + client_frame(kBinary, "", {.fin = false}) +
      client_frame(kContinuation, "") + client_frame(kText, "last") + client_frame(kClose, "\x03\xe8" "bye");
  return bytes;
}

std::string expected_log() {
  return "text one\nbinary " + std::string("\0\xff", 2) + "\ntext \nping between\ntext fr\xe2\x82\xac end\npong \nping " +
         std::string(125, 'p') + "\nbinary " + std::string(300, 'b') + "\nbinary \ntext last\nclose \x03\xe8" "bye\n";
}

TEST(MessageReader, ReadsAConversation) { EXPECT_EQ(read_whole(conversation()), expected_log()); }

TEST(MessageReader, EverySplitBoundaryGivesTheSame) {
  EXPECT_EQ(read_bytewise(conversation()), expected_log());
  for (size_t cut = 0; cut <= conversation().size(); ++cut) {
    Peer peer;
    peer.feed(std::string_view(conversation()).substr(0, cut));
    peer.feed(std::string_view(conversation()).substr(cut));
    ASSERT_EQ(peer.log(), expected_log()) << cut;
  }
}

TEST(MessageReader, AWholeFrameCostsNoArenaAndStaysAsItCame) {
  Arena arena = Arena::map({}, 1).value();
  MessageReader reader(arena);
  Record& record = arena.records()[0];
  record = Record{};
  const std::string bytes = client_frame(kBinary, std::string(1000, 'x'));
  const std::string before = bytes;
  const Step step = reader.read(record, bytes, {.message_bytes_max = 1000});
  EXPECT_EQ(std::string(step.payload.begin(), step.payload.end()), std::string(1000, 'x'));
  EXPECT_EQ(bytes, before);
  EXPECT_EQ(arena.bytes_live(), 0u);
}

TEST(MessageReader, WhatBreaksTheProtocol) {
  const std::string begun = client_frame(kText, "a", {.fin = false});
  const std::pair<std::string, int> cases[] = {
      {client_frame(kText, "a", {.masked = false}), 1002},
      {client_frame(kText, "a", {.rsv = 1}), 1002},
      {client_frame(kText, "a", {.rsv = 2}), 1002},
      {client_frame(kText, "a", {.rsv = 4}), 1002},  // Nothing was negotiated.
      {client_frame(kPing, "a", {.rsv = 4}), 1002},
      {client_frame(3, "a"), 1002},
      {client_frame(7, "a"), 1002},
      {client_frame(11, "a"), 1002},
      {client_frame(15, ""), 1002},
      {client_frame(kContinuation, "a"), 1002},
      {client_frame(kContinuation, "a", {.fin = false}), 1002},
      {begun + client_frame(kText, "b"), 1002},
      {begun + client_frame(kBinary, "b", {.fin = false}), 1002},
      {begun + client_frame(kContinuation, "b") + client_frame(kContinuation, "c"), 1002},
      {client_frame(kPing, "a", {.fin = false}), 1002},
      {client_frame(kPing, std::string(126, 'a')), 1002},
      {client_frame(kText, "abc", {.length_bytes = 2}), 1002},
      {client_frame(kText, "\xff"), 1007},
      {client_frame(kText, "cut \xe2\x82"), 1007},
      {client_frame(kText, "\xe2\x82", {.fin = false}) + client_frame(kContinuation, "x"), 1007},
      {client_frame(kText, "\xe2\x82", {.fin = false}) + client_frame(kContinuation, ""), 1007},
  };
  for (const auto& [bytes, code] : cases) {
    const std::string failure = "failure " + std::to_string(code) + "\n";
    const std::string whole = read_whole(bytes);
    ASSERT_GE(whole.size(), failure.size());
    EXPECT_EQ(whole.substr(whole.size() - failure.size()), failure);
    EXPECT_EQ(read_bytewise(bytes), whole);
  }
}

TEST(MessageReader, BadTextFailsBeforeItsFrameIsComplete) {
  Peer peer;
  const std::string frame = client_frame(kText, "ok \xed\xa0\x80 and a long rest");
  peer.feed(std::string_view(frame).substr(0, 6 + 4));
  EXPECT_FALSE(peer.failed());
  peer.feed(std::string_view(frame).substr(10, 1));
  EXPECT_EQ(peer.log(), "failure 1007\n");
}

TEST(MessageReader, TheMessageLimitIsExact) {
  const MessageLimits limits{.message_bytes_max = 1000};
  const std::string thousand(1000, 'x');
  EXPECT_EQ(read_whole(client_frame(kText, thousand), limits), "text " + thousand + "\n");
  EXPECT_EQ(read_whole(client_frame(kText, thousand + "x"), limits), "failure 1009\n");
  const std::string first = client_frame(kText, thousand.substr(1), {.fin = false});
  EXPECT_EQ(read_whole(first + client_frame(kContinuation, "x"), limits), "text " + thousand + "\n");
  EXPECT_EQ(read_whole(first + client_frame(kContinuation, "xx"), limits), "failure 1009\n");
  // The next message starts from nothing again.
  EXPECT_EQ(read_whole(client_frame(kText, thousand) + client_frame(kText, thousand), limits),
            "text " + thousand + "\ntext " + thousand + "\n");
}

TEST(MessageReader, AHugeHeadIsRefusedWithoutMemory) {
  for (const uint64_t announced : {uint64_t{65537}, uint64_t{1} << 30, uint64_t{INT64_MAX}}) {
    Peer peer;
    peer.feed(client_frame(kBinary, "x", {.announced = announced}));
    EXPECT_EQ(peer.log(), "failure 1009\n");
    EXPECT_EQ(peer.arena().bytes_live(), 0u);
  }
}

TEST(MessageReader, AHeadAloneCostsNoMemory) {
  Peer peer;
  const std::string frame = client_frame(kBinary, std::string(60000, 'x'));
  peer.feed(std::string_view(frame).substr(0, 8));
  EXPECT_EQ(peer.arena().bytes_live(), 0u);
  peer.feed(std::string_view(frame).substr(8, 1));
  EXPECT_LE(peer.arena().bytes_live(), 256u);
  peer.feed(std::string_view(frame).substr(9));
  EXPECT_EQ(peer.log().size(), 7 + 60000 + 1u);
  EXPECT_EQ(peer.arena().bytes_live(), 0u);
}

TEST(MessageReader, CompressionIsMarkedOnTheFirstFrameOnly) {
  const MessageLimits limits{.message_bytes_max = 1000, .compression = true};
  const std::string first = client_frame(kText, "\xff", {.fin = false, .rsv = 4});
  EXPECT_EQ(read_whole(client_frame(kText, "\xff", {.rsv = 4}), limits), "text compressed \xff\n");
  EXPECT_EQ(read_bytewise(first + client_frame(kContinuation, "\xfe"), limits), "text compressed \xff\xfe\n");
  EXPECT_EQ(read_whole(client_frame(kText, "a") + client_frame(kBinary, "b", {.rsv = 4}), limits),
            "text a\nbinary compressed b\n");
  EXPECT_EQ(read_whole(first + client_frame(kContinuation, "\xfe", {.rsv = 4}), limits), "failure 1002\n");
  EXPECT_EQ(read_whole(client_frame(kPing, "", {.rsv = 4}), limits), "failure 1002\n");
  EXPECT_EQ(read_whole(client_frame(kText, "", {.rsv = 6}), limits), "failure 1002\n");
  EXPECT_EQ(read_whole(client_frame(kText, "\xff"), limits), "failure 1007\n");
}

TEST(MessageReader, AfterOurCloseOnlyThePeersCloseMatters) {
  for (const bool bytewise : {false, true}) {
    Peer peer;
    peer.feed(client_frame(kText, "begun", {.fin = false}));
    peer.record().ws.close = record::CloseState::SentClose;
    const std::string bytes = client_frame(kContinuation, "\xff", {.fin = false}) + client_frame(kContinuation, "") +
                              client_frame(kBinary, std::string(200000, 'x')) + client_frame(kClose, "\x03\xe8");
    if (bytewise) {
      for (const char byte : bytes) peer.feed({&byte, 1});
    } else {
      peer.feed(bytes);
    }
    EXPECT_EQ(peer.log(), "close \x03\xe8\n");
  }
}

// Damaged conversations must end in the same way whole and cut, never in a crash, and leave nothing behind.
TEST(MessageReader, MutationsReadTheSameWholeAndCut) {
  std::minstd_rand random(20260101);
  const auto below = [&](size_t limit) { return random() % limit; };
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = conversation();
    for (size_t changes = 1 + below(4); changes > 0; --changes) {
      switch (below(4)) {
        case 0:
          bytes[below(bytes.size())] = static_cast<char>(random());
          break;
        case 1:
          bytes[below(bytes.size())] ^= static_cast<char>(1 << below(8));
          break;
        case 2:
          bytes.erase(below(bytes.size()), 1 + below(4));
          break;
        case 3:
          bytes.insert(below(bytes.size()), 1 + below(3), static_cast<char>(random()));
          break;
      }
    }
    const MessageLimits limits{.message_bytes_max = 1 + below(500), .compression = below(2) == 0};
    const std::string whole = read_whole(bytes, limits);
    Peer peer(limits);
    for (size_t at = 0; at < bytes.size();) {
      const size_t size = std::min(bytes.size() - at, 1 + below(40));
      peer.feed(std::string_view(bytes).substr(at, size));
      at += size;
    }
    ASSERT_EQ(peer.log(), whole) << round;
  }
}

}  // namespace
}  // namespace beamgate::ws
