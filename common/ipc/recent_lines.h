// RecentLines: the last lines of one kind that the processes of the node have said, for all of them to read.
//
// Owner      The master maps it before it forks; zero bytes are an empty ring.
// Thread     One writer at a time; readers anywhere, lock-free: a line that is replaced while it is read is left out.
// Limits     kLinesMax lines of kTextBytesMax bytes; a longer one is cut, and the oldest makes room.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/log/log.h"

namespace beamgate::ipc {

class RecentLines {
 public:
  static constexpr size_t kLinesMax = 32;
  static constexpr size_t kTextBytesMax = 480;

  struct Line {
    int64_t time_ms = 0;  // Unix time.
    uint64_t number = 0;  // From 1, of this ring.
    int32_t pid = 0;
    log::Level level = log::Level::Notice;
    std::string text;
  };

  void add(int64_t time_ms, int32_t pid, log::Level level, std::string_view text);
  std::vector<Line> read() const;  // Oldest first.

 private:
  static constexpr size_t kWords = kTextBytesMax / sizeof(uint64_t);

  struct Entry {
    std::atomic<uint64_t> number;  // 0: free, or being written.
    std::atomic<int64_t> time_ms;
    std::atomic<int32_t> pid;
    std::atomic<uint16_t> level;
    std::atomic<uint16_t> length;
    std::atomic<uint64_t> words[kWords];
  };

  bool read_entry(const Entry& entry, uint64_t number, Line& out) const;

  std::atomic<uint64_t> count_;  // Lines that were ever added.
  Entry entries_[kLinesMax];
};

}  // namespace beamgate::ipc
