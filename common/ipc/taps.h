// Taps: users whose connections somebody looks at, for all workers.
//
// Owner      Switches.  Zero bytes are nobody.
// Thread     Any process, lock-free.
// Limits     kTapsMax.  A tap ends kLeaseMs after it was last renewed, so nothing is left of one whose owner has gone,
//            however that went.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace beamgate::ipc {

class Taps {
 public:
  static constexpr size_t kTapsMax = 16;
  static constexpr int64_t kLeaseMs = 5'000;

  // What connections of the user (a keyed hash of its name) receive and send is for `connection`, too, for kLeaseMs.
  // REQUIRES: connection is not 0.
  enum class Renewed : uint8_t { Begun, Goes, NoPlace };
  Renewed renew(uint64_t user, uint64_t connection, int64_t now_ms) {
    Entry* entry = claim(connection, now_ms);
    if (entry == nullptr) return Renewed::NoPlace;
    const bool was_its = entry->user.load(std::memory_order_relaxed) == user;
    const bool goes_on = was_its && entry->until_ms.load(std::memory_order_relaxed) > now_ms;
    entry->user.store(user, std::memory_order_relaxed);
    entry->until_ms.store(now_ms + kLeaseMs, std::memory_order_release);
    until_ms_.store(now_ms + kLeaseMs, std::memory_order_relaxed);
    return goes_on ? Renewed::Goes : Renewed::Begun;
  }

  // Somebody looks at somebody.
  bool any(int64_t now_ms) const { return until_ms_.load(std::memory_order_relaxed) > now_ms; }

  // Somebody looks by this connection.
  bool has(uint64_t connection, int64_t now_ms) const {
    for (const Entry& entry : entries_) {
      const bool is_it = entry.connection.load(std::memory_order_relaxed) == connection;
      if (is_it && entry.until_ms.load(std::memory_order_relaxed) > now_ms) return true;
    }
    return false;
  }

  template <typename Visit>
  void for_each_connection(uint64_t user, int64_t now_ms, Visit&& visit) const {
    for (const Entry& entry : entries_) {
      if (entry.until_ms.load(std::memory_order_acquire) <= now_ms) continue;
      if (entry.user.load(std::memory_order_relaxed) == user) visit(entry.connection.load(std::memory_order_relaxed));
    }
  }

 private:
  struct Entry {
    std::atomic<uint64_t> connection;  // Whose it is, or was.
    std::atomic<uint64_t> user;
    std::atomic<int64_t> until_ms;     // Monotonic; who has claimed the entry writes user and until_ms alone.
  };

  Entry* claim(uint64_t connection, int64_t now_ms) {
    for (Entry& entry : entries_) {
      if (entry.connection.load(std::memory_order_relaxed) == connection) return &entry;
    }
    for (Entry& entry : entries_) {
      uint64_t former = entry.connection.load(std::memory_order_relaxed);
      if (entry.until_ms.load(std::memory_order_relaxed) > now_ms) continue;
      if (entry.connection.compare_exchange_strong(former, connection, std::memory_order_relaxed)) return &entry;
    }
    return nullptr;
  }

  std::atomic<int64_t> until_ms_;  // Of the one that was renewed last.
  Entry entries_[kTapsMax];
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free);

}  // namespace beamgate::ipc
