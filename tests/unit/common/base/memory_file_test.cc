// Memory file: what one end writes is what the other reads, wherever the descriptor's position is.
#include "common/base/memory_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

namespace beamgate {
namespace {

TEST(MemoryFile, IsReadAsItWasWritten) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{3} << 20}) {
    const std::string text(bytes, 'x');
    const UniqueFd file = make_memory_file("test", text).value();
    std::string read = "what was there";
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(read_memory_file(file.get(), bytes, read).ok());
      EXPECT_EQ(read, text);
    }
    EXPECT_EQ(lseek(file.get(), 0, SEEK_CUR), 0);
    EXPECT_EQ(fcntl(file.get(), F_GETFD), FD_CLOEXEC);
  }
}

TEST(MemoryFile, ALargerOneIsRefused) {
  const UniqueFd file = make_memory_file("test", "12345").value();
  std::string read;
  const auto result = read_memory_file(file.get(), 4, read);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::Invalid);
  EXPECT_TRUE(read_memory_file(file.get(), 5, read).ok());
}

TEST(MemoryFile, WhatIsNoneSaysSo) {
  std::string read;
  EXPECT_FALSE(read_memory_file(-1, 100, read).ok());
}

TEST(MemoryFile, CanBeSealed) {
  const UniqueFd file = make_memory_file("test", "text", MFD_ALLOW_SEALING).value();
  EXPECT_EQ(fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL), 0);
  EXPECT_NE(fcntl(make_memory_file("test", "text").value().get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
}

}  // namespace
}  // namespace beamgate
