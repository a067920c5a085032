// RateTable: how fast requests with one key come, over all workers: the leaky buckets of limit_req.
//
// Owner      The master maps one before it forks; every worker counts in it.  Nothing in it belongs to a worker, so
//            nothing leaks when one dies.  A page of zero bytes is an empty table.
// Thread     Any process, lock-free.
// Limits     A zone has `places` of kEntries, beginning where its name says; zones may overlap, since keys hold their
//            zone.  A key has kProbesMax places; when others hold them all, the one that came longest ago goes,
//            as from nginx's zone.
// Method     nginx's: excess = excess - rate * time + 1 request, never below 0, refused above the burst.  One word
//            holds excess, time and a part of the key, and is swapped as a whole: of two workers that count the
//            same key at once, one sees the other's count; who counts a key that is just being displaced sees that too.
// Precision  Thousandths of requests and milliseconds; an excess that is left alone for kTimeBits of milliseconds
//            (18 hours) may be taken for a fresh one once.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace beamgate::ipc {

class RateTable {
 public:
  static constexpr uint32_t kEntries = 1 << 20;
  static constexpr uint32_t kProbesMax = 16;
  static constexpr uint32_t kEntryBytes = 64;  // What a zone's size is divided by; nginx's smallest state.
  static constexpr uint32_t kBurstMax = 60'000;

  // Where a zone's keys are.
  struct Window {
    uint32_t start = 0;
    uint32_t places = 1;
  };
  static Window window(std::string_view name, uint64_t bytes);

  struct Rate {
    uint32_t per_second_milli = 0;  // Thousandths of requests in a second.
    uint32_t burst_milli = 0;
  };
  struct Verdict {
    bool admitted = false;
    uint32_t excess_milli = 0;  // What the key is above its rate, this request included.
  };

  // Counts one request unless it would exceed the burst.  key: of zone and value, keyed, not 0.
  Verdict take(const Window& window, uint64_t key, const Rate& rate, int64_t now_ms);
  // What take() would say, without counting.
  Verdict look(const Window& window, uint64_t key, const Rate& rate, int64_t now_ms) const;

 private:
  static constexpr int kCheckBits = 12;
  static constexpr int kExcessBits = 26;
  static constexpr int kTimeBits = 26;
  static constexpr int kAttemptsMax = 8;

  struct Entry {
    std::atomic<uint64_t> key;    // 0: free.
    std::atomic<uint64_t> state;  // check | excess | time
  };

  static uint32_t place(const Window& window, uint64_t key, uint32_t probe);
  static uint64_t pack(uint64_t key, uint32_t excess_milli, int64_t now_ms);
  static int64_t elapsed_ms(uint64_t state, int64_t now_ms);
  static Verdict weigh(uint64_t state, uint64_t key, const Rate& rate, int64_t now_ms);
  const Entry* find(const Window& window, uint64_t key) const;
  Entry* claim(const Window& window, uint64_t key, int64_t now_ms);

  Entry entries_[kEntries];
};

}  // namespace beamgate::ipc
