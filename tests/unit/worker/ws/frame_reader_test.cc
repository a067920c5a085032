// Heads of client frames: what is well formed is read exactly, what is not is refused, and nothing of one frame
// is left in the reader for the next, whoever sent it.
#include "worker/ws/frame_reader.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/worker/ws/client_frames.h"
#include "worker/ws/frame_head.h"
#include "worker/ws/mask.h"

namespace beamgate::ws {
namespace {

using namespace testing;
using Read = FrameReader::Outcome;

TEST(FrameReader, ReadsEveryLengthForm) {
  FrameReader reader;
  for (const size_t size : {0, 1, 125, 126, 127, 4095, 4096, 4097, 16384, 16385, 65535, 65536, 200000}) {
    const std::string bytes = client_frame(kBinary, std::string(size, 'x'));
    ClientFrame frame;
    ASSERT_EQ(reader.read(bytes, frame), Read::Head) << size;
    EXPECT_EQ(frame.payload_bytes, size);
    EXPECT_EQ(frame.head_bytes, bytes.size() - size);
    EXPECT_EQ(frame.opcode, kBinary);
    EXPECT_TRUE(frame.fin);
    EXPECT_EQ(frame.rsv, 0);
    EXPECT_EQ(memcmp(frame.mask, bytes.data() + frame.head_bytes - 4, 4), 0);
  }
}

TEST(FrameReader, ReportsFlagsAsTheyAre) {
  FrameReader reader;
  for (uint8_t rsv = 0; rsv < 8; ++rsv) {
    ClientFrame frame;
    ASSERT_EQ(reader.read(client_frame(kText, "a", {.fin = false, .rsv = rsv}), frame), Read::Head);
    EXPECT_FALSE(frame.fin);
    EXPECT_EQ(frame.rsv, rsv);
  }
}

TEST(FrameReader, AnIncompleteHeadLeavesNoTrace) {
  FrameReader reader;
  const std::string first = client_frame(kText, std::string(70000, 'x'));
  const std::string second = client_frame(kPing, "p");
  for (size_t size = 0; size < 14; ++size) {
    ClientFrame frame;
    EXPECT_EQ(reader.read(std::string_view(first).substr(0, size), frame), Read::NeedMore) << size;
    ASSERT_EQ(reader.read(second, frame), Read::Head);
    EXPECT_EQ(frame.opcode, kPing);
  }
  ClientFrame frame;
  EXPECT_EQ(reader.read(std::string_view(first).substr(0, 14), frame), Read::Head);
}

TEST(FrameReader, AHugeLengthIsOnlyANumber) {
  FrameReader reader;
  ClientFrame frame;
  ASSERT_EQ(reader.read(client_frame(kBinary, "", {.announced = INT64_MAX}), frame), Read::Head);
  EXPECT_EQ(frame.payload_bytes, static_cast<uint64_t>(INT64_MAX));
  ASSERT_EQ(reader.read(client_frame(kText, "next"), frame), Read::Head);
  EXPECT_EQ(frame.payload_bytes, 4u);
}

TEST(FrameReader, RefusesWhatIsMalformed) {
  FrameReader reader;
  const std::string malformed[] = {
      client_frame(kBinary, "", {.announced = UINT64_MAX - 1}),                          // Above 2^63.
      client_frame(kBinary, std::string(10, 'x'), {.length_bytes = 2}),                  // Not the shortest form.
      client_frame(kBinary, std::string(125, 'x'), {.length_bytes = 2}),
      client_frame(kBinary, std::string(1000, 'x'), {.length_bytes = 8}),
      client_frame(kPing, "p", {.fin = false}),
      client_frame(kClose, "", {.fin = false}),
      client_frame(kPing, std::string(126, 'p')),
      client_frame(kClose, std::string(70000, 'p')),
  };
  for (const std::string& bytes : malformed) {
    ClientFrame frame;
    EXPECT_EQ(reader.read(bytes, frame), Read::Malformed);
    ASSERT_EQ(reader.read(client_frame(kText, "still works"), frame), Read::Head);
    EXPECT_EQ(frame.payload_bytes, 11u);
  }
  ClientFrame frame;
  EXPECT_EQ(reader.read(client_frame(kText, "a", {.masked = false}), frame), Read::Unmasked);
  EXPECT_EQ(reader.read(client_frame(kPing, std::string(125, 'p')), frame), Read::Head);
}

TEST(Mask, EveryLengthAndEveryRotation) {
  for (size_t size = 0; size < 200; ++size) {
    std::string plain;
    for (size_t i = 0; i < size; ++i) plain += static_cast<char>(i * 7);
    for (size_t cut = 0; cut <= size; cut += 3) {
      std::string bytes = plain;
      const uint8_t original[4] = {0x37, 0xfa, 0x21, 0x3d};
      for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(bytes[i] ^ original[i % 4]);
      uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
      unmask(std::span(bytes).first(cut), key);
      EXPECT_EQ(key[0], original[cut % 4]);
      unmask(std::span(bytes).subspan(cut), key);
      ASSERT_EQ(bytes, plain) << size << " cut at " << cut;
    }
  }
}

TEST(FrameHead, ShortestForm) {
  EXPECT_EQ(FrameHead(Opcode::Text, 0).view(), std::string_view("\x81\x00", 2));
  EXPECT_EQ(FrameHead(Opcode::Binary, 125).view(), "\x82\x7d");
  EXPECT_EQ(FrameHead(Opcode::Text, 126).view(), std::string_view("\x81\x7e\x00\x7e", 4));
  EXPECT_EQ(FrameHead(Opcode::Text, 65535, true).view(), "\xc1\x7e\xff\xff");
  EXPECT_EQ(FrameHead(Opcode::Text, 65536).view(), std::string_view("\x81\x7f\0\0\0\0\0\1\0\0", 10));
  EXPECT_EQ(FrameHead(Opcode::Pong, 1).view(), "\x8a\x01");
}

}  // namespace
}  // namespace beamgate::ws
