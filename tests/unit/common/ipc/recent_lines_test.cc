// The last lines that processes say: the newest in order, cut to their place, and whole or not at all while one is written.
#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "common/ipc/recent_lines.h"

namespace beamgate::ipc {
namespace {

using log::Level;

TEST(RecentLines, NothingAtFirst) { EXPECT_TRUE(std::make_unique<RecentLines>()->read().empty()); }

TEST(RecentLines, WhatWasSaidInOrder) {
  const auto lines = std::make_unique<RecentLines>();
  lines->add(11, 3, Level::Error, "one");
  lines->add(12, 4, Level::Warn, "");
  const auto read = lines->read();
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].time_ms, 11);
  EXPECT_EQ(read[0].number, 1u);
  EXPECT_EQ(read[0].pid, 3);
  EXPECT_EQ(read[0].level, Level::Error);
  EXPECT_EQ(read[0].text, "one");
  EXPECT_EQ(read[1].level, Level::Warn);
  EXPECT_EQ(read[1].text, "");
}

TEST(RecentLines, TheOldestMakesRoom) {
  const auto lines = std::make_unique<RecentLines>();
  const size_t count = RecentLines::kLinesMax * 2 + 3;
  for (size_t i = 1; i <= count; ++i) lines->add(static_cast<int64_t>(i), 1, Level::Notice, std::to_string(i));
  const auto read = lines->read();
  ASSERT_EQ(read.size(), RecentLines::kLinesMax);
  EXPECT_EQ(read.front().text, std::to_string(count - RecentLines::kLinesMax + 1));
  EXPECT_EQ(read.back().text, std::to_string(count));
}

TEST(RecentLines, ALongOneIsCutAndAShortOneAfterItHasNothingOfIt) {
  const auto lines = std::make_unique<RecentLines>();
  const std::string text(RecentLines::kTextBytesMax + 100, 'x');
  for (size_t i = 0; i < RecentLines::kLinesMax; ++i) lines->add(1, 1, Level::Error, text);
  EXPECT_EQ(lines->read().back().text, text.substr(0, RecentLines::kTextBytesMax));
  lines->add(2, 1, Level::Error, "short");
  EXPECT_EQ(lines->read().back().text, "short");
}

TEST(RecentLines, ALineIsWholeWhileOthersAreWritten) {
  const auto lines = std::make_unique<RecentLines>();
  std::thread writer([&] {
    for (int i = 0; i < 100'000; ++i) lines->add(i, i, Level::Error, std::string(200 + i % 100, static_cast<char>('a' + i % 26)));
  });
  uint64_t last = 0;
  while (last < 100'000) {
    for (const RecentLines::Line& line : lines->read()) {
      const auto i = static_cast<size_t>(line.time_ms);
      ASSERT_EQ(line.number, i + 1);
      ASSERT_EQ(line.text, std::string(200 + i % 100, static_cast<char>('a' + i % 26)));
      last = std::max(last, line.number);
    }
  }
  writer.join();
}

}  // namespace
}  // namespace beamgate::ipc
