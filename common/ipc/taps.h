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
    const int64_t until_ms = now_ms + kLeaseMs;
    const Renewed renewed = renew_entry(user, connection, now_ms, until_ms);
    if (renewed != Renewed::NoPlace) until_ms_.store(until_ms, std::memory_order_relaxed);
    return renewed;
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
      const int64_t until_ms = entry.until_ms.load(std::memory_order_acquire);
      if (until_ms <= now_ms) continue;
      const bool is_it = entry.user.load(std::memory_order_acquire) == user;
      const uint64_t connection = entry.connection.load(std::memory_order_acquire);
      // Unchanged: the two belong together, for what another connection claims has a later time.
      if (is_it && entry.until_ms.load(std::memory_order_acquire) == until_ms) visit(connection);
    }
  }

 private:
  struct Entry {
    std::atomic<uint64_t> connection;  // Whose it is, or was.
    std::atomic<uint64_t> user;
    // Monotonic.  Negative: somebody is writing the two above, and nobody else may before the time without its sign, by
    // which whoever does so is dead.
    std::atomic<int64_t> until_ms;
  };

  Renewed renew_entry(uint64_t user, uint64_t connection, int64_t now_ms, int64_t until_ms) {
    for (Entry& entry : entries_) {
      for (;;) {  // Until it is renewed, or is not the connection's.
        int64_t former = entry.until_ms.load(std::memory_order_acquire);
        if (former < 0 || entry.connection.load(std::memory_order_acquire) != connection) break;
        const bool same_user = entry.user.load(std::memory_order_acquire) == user;
        const bool done = same_user ? entry.until_ms.compare_exchange_strong(former, until_ms, std::memory_order_acq_rel)
                                    : claim(entry, former, user, connection, until_ms);
        if (done) return same_user && former > now_ms ? Renewed::Goes : Renewed::Begun;
      }
    }
    for (Entry& entry : entries_) {
      const int64_t former = entry.until_ms.load(std::memory_order_acquire);
      const bool is_free = (former < 0 ? -former : former) <= now_ms;
      if (is_free && claim(entry, former, user, connection, until_ms)) return Renewed::Begun;
    }
    return Renewed::NoPlace;
  }

  // False: somebody else has renewed or claimed it meanwhile.
  static bool claim(Entry& entry, int64_t former, uint64_t user, uint64_t connection, int64_t until_ms) {
    if (!entry.until_ms.compare_exchange_strong(former, -until_ms, std::memory_order_acq_rel)) return false;
    entry.connection.store(connection, std::memory_order_release);
    entry.user.store(user, std::memory_order_release);
    entry.until_ms.store(until_ms, std::memory_order_release);
    return true;
  }

  std::atomic<int64_t> until_ms_;  // Of the one that was renewed last.
  Entry entries_[kTapsMax];
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free);

}  // namespace beamgate::ipc
