// What goes in comes out, in its order, whatever the pieces.
#include "worker/http2/byte_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace beamgate::http2 {
namespace {

TEST(ByteQueueTest, AnEmptyOneHasAnEmptyFront) {
  ByteQueue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.front(), "");
  EXPECT_NE(queue.front().data(), nullptr);
  queue.add("");
  EXPECT_TRUE(queue.empty());
}

TEST(ByteQueueTest, SmallOnesBecomeOnePiece) {
  ByteQueue queue;
  queue.add("hello, ");
  queue.add("world");
  EXPECT_EQ(queue.front(), "hello, world");
  queue.took(7);
  EXPECT_EQ(queue.front(), "world");
  EXPECT_EQ(queue.size(), 5u);
  queue.took(5);
  EXPECT_TRUE(queue.empty());
}

TEST(ByteQueueTest, ALargeOneIsAPieceOfItsOwn) {
  ByteQueue queue;
  queue.add("small");
  queue.add(std::string(ByteQueue::kPieceBytes, 'x'));
  queue.add("end");
  EXPECT_EQ(queue.front(), "small");
  queue.took(5);
  EXPECT_EQ(queue.front().size(), ByteQueue::kPieceBytes);
  queue.took(ByteQueue::kPieceBytes);
  EXPECT_EQ(queue.front(), "end");
  queue.clear();
  EXPECT_EQ(queue.size(), 0u);
}

TEST(ByteQueueTest, WhatGoesInComesOut) {
  std::mt19937 dice(1);
  ByteQueue queue;
  std::string in, out;
  for (int round = 0; round < 2'000; ++round) {
    const size_t most = round % 3 == 0 ? 40'000 : 300;
    std::string bytes(dice() % most, 'a');
    for (char& byte : bytes) byte = static_cast<char>(dice());
    queue.add(bytes);
    in += bytes;
    while (queue.size() > 64'000 || (round % 7 == 0 && dice() % 4 != 0 && !queue.empty())) {
      const size_t part = std::min<size_t>(queue.front().size(), 1 + dice() % 16'384);
      out += queue.front().substr(0, part);
      queue.took(part);
    }
    ASSERT_EQ(queue.size(), in.size() - out.size());
  }
  while (!queue.empty()) {
    out += queue.front();
    queue.took(queue.front().size());
  }
  EXPECT_EQ(in, out);
}

}  // namespace
}  // namespace beamgate::http2
