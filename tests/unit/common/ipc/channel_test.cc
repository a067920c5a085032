// Channel and frame codec: frames arrive whole, in order and with their descriptors, however they were cut
// into packets; damaged packets end the channel and nothing else.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <random>

#include "common/ipc/channel.h"

namespace beamgate::ipc {
namespace {

struct Pair {
  Pair() : Pair(Channel::make_pair()) {}
  Channel left, right;

 private:
  explicit Pair(Result<std::pair<UniqueFd, UniqueFd>> ends)
      : left(std::move(ends.value().first)), right(std::move(ends.value().second)) {}
};

// Moves everything from one end to the other and gives the bodies.
std::vector<std::string> transfer(Channel& from, Channel& to) {
  std::vector<std::string> bodies;
  for (;;) {
    const auto flushed = from.flush();
    EXPECT_TRUE(flushed.ok());
    const auto received = to.receive([&](const Frame& frame) {
      bodies.emplace_back(frame.body);
      return true;
    });
    EXPECT_TRUE(received.ok());
    if (!flushed.ok() || !received.ok()) return bodies;
    if (flushed.value() == Channel::Progress::Done && received.value() == Channel::Progress::Done) return bodies;
  }
}

TEST(Channel, KeepsOrderOverManyPackets) {
  Pair pair;
  constexpr int kCount = 20'000;
  for (int i = 0; i < kCount; ++i) ASSERT_TRUE(pair.left.send_body(Kind::Call, "message " + std::to_string(i)));
  EXPECT_GT(pair.left.queued_bytes(), 2 * kPacketBytesMax);
  const auto bodies = transfer(pair.left, pair.right);
  ASSERT_EQ(bodies.size(), static_cast<size_t>(kCount));
  for (int i = 0; i < kCount; ++i) ASSERT_EQ(bodies[static_cast<size_t>(i)], "message " + std::to_string(i));
  EXPECT_EQ(pair.left.queued_bytes(), 0u);
  EXPECT_FALSE(pair.left.wants_writable());
  EXPECT_EQ(pair.left.bytes_sent(), pair.right.bytes_received());
}

TEST(Channel, CutsAndJoinsLargeFrames) {
  Pair pair;
  std::vector<std::string> sent;
  for (const size_t size : {size_t{0}, kPacketPayloadMax - kFrameHeaderBytes - 1, kPacketPayloadMax - kFrameHeaderBytes,
                            kPacketPayloadMax - kFrameHeaderBytes + 1, 3 * kPacketPayloadMax, size_t{1},
                            size_t{kFrameBytesMax}, size_t{5}}) {
    sent.push_back(std::string(size, static_cast<char>('a' + sent.size())));
    ASSERT_TRUE(pair.left.send_body(Kind::Call, sent.back()));
  }
  EXPECT_EQ(transfer(pair.left, pair.right), sent);
}

TEST(Channel, RefusesAFrameAboveTheLimitAndGoesOn) {
  Pair pair;
  const std::string large(kFrameBytesMax, 'x');
  EXPECT_FALSE(pair.left.send_body(Kind::Call, large + "y"));
  EXPECT_FALSE(pair.left.send(Publish{.channel = "c", .payload = large}));
  EXPECT_EQ(pair.left.queued_bytes(), 0u);
  ASSERT_TRUE(pair.left.send_body(Kind::Call, "next"));
  EXPECT_EQ(transfer(pair.left, pair.right), std::vector<std::string>{"next"});
}

TEST(Channel, MessagesTravelDecoded) {
  Pair pair;
  ASSERT_TRUE(pair.left.send(InterestAck{.channel = "room", .epoch = "abcdefgh", .offset = 5}));
  ASSERT_TRUE(pair.left.flush().ok());
  int seen = 0;
  const auto received = pair.right.receive([&](const Frame& frame) {
    InterestAck ack;
    if (frame.kind != Kind::InterestAck || !decode(frame.body, ack)) return false;
    EXPECT_EQ(ack.channel, "room");
    EXPECT_EQ(ack.offset, 5u);
    ++seen;
    return true;
  });
  EXPECT_TRUE(received.ok());
  EXPECT_EQ(seen, 1);
}

Descriptors some_descriptors(size_t count) {
  Descriptors out;
  for (size_t i = 0; i < count; ++i) out.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  return out;
}

TEST(Channel, DescriptorsBelongToTheirFrame) {
  for (const size_t count : {size_t{1}, size_t{200}, size_t{201}, size_t{700}}) {
    Pair pair;
    ASSERT_TRUE(pair.left.send_body(Kind::Call, "before"));
    ASSERT_TRUE(pair.left.send(Prepare{1, {5}}, some_descriptors(count)));
    ASSERT_TRUE(pair.left.send_body(Kind::Call, "after"));
    ASSERT_TRUE(pair.left.flush().ok());
    std::vector<size_t> counts;
    Descriptors kept;
    const auto received = pair.right.receive([&](const Frame& frame) {
      counts.push_back(frame.descriptors->size());
      if (frame.kind == Kind::Prepare) kept = std::move(*frame.descriptors);
      return true;
    });
    EXPECT_TRUE(received.ok());
    EXPECT_EQ(counts, (std::vector<size_t>{0, count, 0}));
    for (const UniqueFd& fd : kept) {
      EXPECT_EQ(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
    }
  }
}

TEST(Channel, DescriptorsOfALargeFrameWaitForItsEnd) {
  Pair pair;
  Prepare prepare{1, std::vector<uint32_t>(3 * kPacketPayloadMax / sizeof(uint32_t), 9)};
  ASSERT_TRUE(pair.left.send(prepare, some_descriptors(2)));
  size_t descriptors = 0;
  while (descriptors == 0) {
    ASSERT_TRUE(pair.left.flush().ok());
    const auto received = pair.right.receive([&](const Frame& frame) {
      descriptors = frame.descriptors->size();
      return frame.body.size() > 2 * kPacketPayloadMax;
    });
    ASSERT_TRUE(received.ok());
  }
  EXPECT_EQ(descriptors, 2u);
}

TEST(Channel, ARefusedFrameEndsIt) {
  Pair pair;
  ASSERT_TRUE(pair.left.send(Stop{true}));
  ASSERT_TRUE(pair.left.flush().ok());
  const auto received = pair.right.receive([](const Frame&) { return false; });
  ASSERT_FALSE(received.ok());
  EXPECT_EQ(received.error().code, Code::Invalid);
}

TEST(Channel, TellsWhenTheOtherEndIsGoneButFirstWhatItSent) {
  auto ends = Channel::make_pair();
  Channel left(std::move(ends.value().first));
  auto right = std::make_unique<Channel>(std::move(ends.value().second));
  ASSERT_TRUE(left.send(Stop{true}));  // Stays unread: the kernel reports a reset.
  ASSERT_TRUE(left.flush().ok());
  ASSERT_TRUE(right->send_body(Kind::Reply, "last words"));
  ASSERT_TRUE(right->flush().ok());
  right.reset();
  std::string seen;
  const auto received = left.receive([&](const Frame& frame) {
    seen = frame.body;
    return true;
  });
  EXPECT_EQ(seen, "last words");
  ASSERT_FALSE(received.ok());
  EXPECT_EQ(received.error().code, Code::Closed);
  ASSERT_TRUE(left.send(Stop{true}));
  const auto flushed = left.flush();
  ASSERT_FALSE(flushed.ok());
  EXPECT_EQ(flushed.error().code, Code::Closed);
}

TEST(Channel, AFullSocketKeepsTheRestQueued) {
  Pair pair;
  const std::string body(1 << 20, 'x');
  for (int i = 0; i < 32; ++i) ASSERT_TRUE(pair.left.send_body(Kind::Call, body));
  const auto flushed = pair.left.flush();
  ASSERT_TRUE(flushed.ok());
  EXPECT_EQ(flushed.value(), Channel::Progress::More);
  EXPECT_TRUE(pair.left.wants_writable());
  EXPECT_EQ(transfer(pair.left, pair.right).size(), 32u);
}

// The packets of a few frames, as they would go over the socket.
std::vector<std::string> packets_of(FrameWriter& writer) {
  std::vector<std::string> out;
  for (; !writer.empty(); writer.pop()) {
    const auto packet = writer.front();
    out.emplace_back(reinterpret_cast<const char*>(&packet.header), sizeof packet.header);
    out.back() += packet.payload;
  }
  return out;
}

// Feeds one packet; true when all of it was fine.
bool feed(FrameReader& reader, std::string_view packet) {
  if (!reader.begin(packet, {}).ok()) return false;
  Frame frame;
  for (;;) {
    const auto read = reader.next(frame);
    if (!read.ok()) return false;
    if (!read.value()) return true;
  }
}

TEST(FrameReader, RefusesEachWrongField) {
  FrameWriter writer;
  ASSERT_TRUE(writer.append(Stop{true}));
  const std::string good = packets_of(writer).front();
  {
    FrameReader reader;
    EXPECT_TRUE(feed(reader, good));
  }
  const auto refuses = [&](size_t at, char value) {
    std::string bad = good;
    bad[at] = value;
    FrameReader reader;
    return !feed(reader, bad);
  };
  EXPECT_TRUE(refuses(0, 'x')) << "magic";
  EXPECT_TRUE(refuses(4, 99)) << "version";
  EXPECT_TRUE(refuses(6, kPacketContinues)) << "continues what never began";
  EXPECT_TRUE(refuses(6, 4)) << "unknown flag";
  EXPECT_TRUE(refuses(7, 1)) << "promises a descriptor";
  EXPECT_TRUE(refuses(8, 1)) << "position behind what was received";
  EXPECT_TRUE(refuses(sizeof(PacketHeader) + 3, 127)) << "length above the limit";
  EXPECT_TRUE(refuses(sizeof(PacketHeader) + 6, 1)) << "reserved bytes";
  FrameReader reader;
  EXPECT_FALSE(feed(reader, good.substr(0, sizeof(PacketHeader)))) << "no frames";
  EXPECT_FALSE(feed(reader, good.substr(0, sizeof(PacketHeader) + 3))) << "cut header";
  EXPECT_FALSE(feed(reader, "")) << "empty";
}

TEST(FrameReader, RefusesANewFrameInTheMiddleOfAnother) {
  FrameWriter writer;
  ASSERT_TRUE(writer.append_body(Kind::Call, std::string(2 * kPacketPayloadMax, 'x')));
  const auto packets = packets_of(writer);
  FrameReader reader;
  ASSERT_TRUE(feed(reader, packets[0]));
  FrameWriter other;
  other.set_position(reader.position());
  ASSERT_TRUE(other.append_body(Kind::Call, "y"));
  EXPECT_FALSE(feed(reader, packets_of(other)[0]));
}

// A sender that was killed over a packet has a successor who sends it again, cut otherwise maybe.
TEST(FrameReader, DropsWhatItHasHad) {
  FrameWriter first;
  for (const char* body : {"a", "b"}) ASSERT_TRUE(first.append_body(Kind::Call, body));
  FrameWriter again;
  for (const char* body : {"a", "b", "c"}) ASSERT_TRUE(again.append_body(Kind::Call, body));
  const std::string earlier = packets_of(first)[0];
  FrameReader reader;
  std::string bodies;
  for (const std::string& packet : {earlier, earlier, packets_of(again)[0]}) {
    ASSERT_TRUE(reader.begin(packet, {}).ok());
    Frame frame;
    for (auto next = reader.next(frame); next.ok() && next.value(); next = reader.next(frame)) bodies += frame.body;
  }
  EXPECT_EQ(bodies, "abc");
}

TEST(FrameReader, RefusesAGap) {
  FrameWriter writer;
  writer.set_position(1);
  ASSERT_TRUE(writer.append_body(Kind::Call, "a"));
  FrameReader reader;
  EXPECT_FALSE(feed(reader, packets_of(writer)[0]));
}

TEST(FrameReader, SurvivesDamage) {
  std::mt19937 random(4711);
  for (int round = 0; round < 3'000; ++round) {
    FrameWriter writer;
    for (int i = 0; i < 5; ++i) {
      const std::string body(random() % 64, 'b');
      ASSERT_TRUE(writer.append(Publish{.channel = "room", .payload = body}));
    }
    if (round % 50 == 0) {
      ASSERT_TRUE(writer.append_body(Kind::Call, std::string(kPacketPayloadMax + 5, 'l')));
    }
    FrameReader reader;
    for (std::string packet : packets_of(writer)) {
      for (int hits = static_cast<int>(random() % 3); hits > 0; --hits) {
        packet[random() % packet.size()] = static_cast<char>(random());
      }
      if (random() % 4 == 0) packet.resize(random() % (packet.size() + 1));
      const std::vector<char> exact(packet.begin(), packet.end());
      if (!feed(reader, std::string_view(exact.data(), exact.size()))) break;
    }
  }
}

}  // namespace
}  // namespace beamgate::ipc
