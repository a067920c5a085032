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
    Place* place = claim(connection, now_ms);
    if (place == nullptr) return Renewed::NoPlace;
    const bool goes_on = place->until_ms.load(std::memory_order_relaxed) > now_ms && place->user.load(std::memory_order_relaxed) == user;
    place->user.store(user, std::memory_order_relaxed);
    place->until_ms.store(now_ms + kLeaseMs, std::memory_order_release);
    until_ms_.store(now_ms + kLeaseMs, std::memory_order_relaxed);
    return goes_on ? Renewed::Goes : Renewed::Begun;
  }

  // Somebody looks at somebody.
  bool any(int64_t now_ms) const { return until_ms_.load(std::memory_order_relaxed) > now_ms; }

  // Somebody looks by this connection.
  bool has(uint64_t connection, int64_t now_ms) const {
    for (const Place& place : places_) {
      const bool is_it = place.connection.load(std::memory_order_relaxed) == connection;
      if (is_it && place.until_ms.load(std::memory_order_relaxed) > now_ms) return true;
    }
    return false;
  }

  template <typename Visit>
  void for_each_connection(uint64_t user, int64_t now_ms, Visit&& visit) const {
    for (const Place& place : places_) {
      if (place.until_ms.load(std::memory_order_acquire) <= now_ms) continue;
      if (place.user.load(std::memory_order_relaxed) == user) visit(place.connection.load(std::memory_order_relaxed));
    }
  }

 private:
  struct Place {
    std::atomic<uint64_t> connection;  // Whose it is, or was.
    std::atomic<uint64_t> user;
    std::atomic<int64_t> until_ms;     // Monotonic; who has claimed the place writes user and until_ms alone.
  };

  Place* claim(uint64_t connection, int64_t now_ms) {
    for (Place& place : places_) {
      if (place.connection.load(std::memory_order_relaxed) == connection) return &place;
    }
    for (Place& place : places_) {
      uint64_t former = place.connection.load(std::memory_order_relaxed);
      if (place.until_ms.load(std::memory_order_relaxed) > now_ms) continue;
      if (place.connection.compare_exchange_strong(former, connection, std::memory_order_relaxed)) return &place;
    }
    return nullptr;
  }

  std::atomic<int64_t> until_ms_;  // Of the one that was renewed last.
  Place places_[kTapsMax];
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free);

}  // namespace beamgate::ipc
