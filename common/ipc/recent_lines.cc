#include "common/ipc/recent_lines.h"

#include <algorithm>
#include <cstring>

namespace beamgate::ipc {

// The number goes first and comes last, so that a reader who finds it before and after has read one line.
void RecentLines::add(int64_t time_ms, int32_t pid, log::Level level, std::string_view text) {
  text = text.substr(0, kTextBytesMax);
  const uint64_t number = count_.load(std::memory_order_relaxed) + 1;
  Entry& entry = entries_[number % kLinesMax];
  entry.number.store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  entry.time_ms.store(time_ms, std::memory_order_relaxed);
  entry.pid.store(pid, std::memory_order_relaxed);
  entry.level.store(static_cast<uint16_t>(level), std::memory_order_relaxed);
  entry.length.store(static_cast<uint16_t>(text.size()), std::memory_order_relaxed);
  for (size_t i = 0; i * sizeof(uint64_t) < text.size(); ++i) {
    const std::string_view part = text.substr(i * sizeof(uint64_t), sizeof(uint64_t));
    uint64_t word = 0;
    memcpy(&word, part.data(), part.size());
    entry.words[i].store(word, std::memory_order_relaxed);
  }
  entry.number.store(number, std::memory_order_release);
  count_.store(number, std::memory_order_release);
}

std::vector<RecentLines::Line> RecentLines::read() const {
  std::vector<Line> lines;
  const uint64_t last = count_.load(std::memory_order_acquire);
  for (uint64_t number = last > kLinesMax ? last - kLinesMax + 1 : 1; number <= last; ++number) {
    Line line;
    if (read_entry(entries_[number % kLinesMax], number, line)) lines.push_back(std::move(line));
  }
  return lines;
}

bool RecentLines::read_entry(const Entry& entry, uint64_t number, Line& out) const {
  if (entry.number.load(std::memory_order_acquire) != number) return false;
  out.number = number;
  out.time_ms = entry.time_ms.load(std::memory_order_relaxed);
  out.pid = entry.pid.load(std::memory_order_relaxed);
  out.level = static_cast<log::Level>(
      std::min<uint16_t>(entry.level.load(std::memory_order_relaxed), static_cast<uint16_t>(log::Level::Debug)));
  const size_t length = std::min<size_t>(entry.length.load(std::memory_order_relaxed), kTextBytesMax);
  char bytes[kTextBytesMax];
  for (size_t i = 0; i * sizeof(uint64_t) < length; ++i) {
    const uint64_t word = entry.words[i].load(std::memory_order_relaxed);
    memcpy(bytes + i * sizeof word, &word, sizeof word);
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  if (entry.number.load(std::memory_order_relaxed) != number) return false;
  out.text.assign(bytes, length);
  return true;
}

}  // namespace beamgate::ipc
