// Logouts: sessions that were ended before their time, for all workers.
//
// Owner      Switches.  The master says begin() of a fresh page, which knows nothing of what was ended before.
// Thread     Any process, lock-free.
// Limits     kLogoutsMax; when as many are remembered, the next one ends all sessions that there are: rather too many than
//            one too few.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace beamgate::ipc {

class Logouts {
 public:
  static constexpr size_t kLogoutsMax = 64;

  // Sessions that began before then have ended.
  void begin(int64_t now_s) { from_s_.store(now_s, std::memory_order_relaxed); }

  // session: a hash of it.  It would have lasted until expires_s (Unix time).
  void add(uint64_t session, int64_t expires_s, int64_t now_s) {
    for (Entry& entry : entries_) {
      int64_t former = entry.expires_s.load(std::memory_order_relaxed);
      if (former > now_s || !entry.expires_s.compare_exchange_strong(former, expires_s)) continue;
      entry.session.store(session, std::memory_order_relaxed);
      return;
    }
    begin(now_s + 1);
  }

  bool has(uint64_t session, int64_t begun_s) const {
    if (begun_s < from_s_.load(std::memory_order_relaxed)) return true;
    for (const Entry& entry : entries_) {
      if (entry.session.load(std::memory_order_relaxed) == session) return true;
    }
    return false;
  }

 private:
  struct Entry {
    std::atomic<int64_t> expires_s;
    std::atomic<uint64_t> session;
  };

  std::atomic<int64_t> from_s_;
  Entry entries_[kLogoutsMax];
};

}  // namespace beamgate::ipc
