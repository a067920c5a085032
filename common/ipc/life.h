// Life: what a worker, its keeper, the keeper's standby and the worker's successors know of each other.
//
// One shared page set per slot, mapped before the fork, so that all of them see the same memory whatever happens
// to any of them.  The three processes also share one descriptor table: a number here means the same socket to
// all of them.
// Owner      The process that forks the keeper maps it; it lives as long as any of them.
// Thread     Any process; every field has one writer at a time, which its comment names.
// Source     futex(2), get_robust_list(2): a death is told by the kernel (FUTEX_OWNER_DIED) before the dead
//            process's memory is taken down, and long before a core dump ends.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace beamgate::ipc {

// What a worker is doing for the connection it serves; for the line that is logged when it dies of it.
enum class Doing : uint8_t { Nothing, Reading, Writing, Timer, Application, BusFrame, Closing };

inline const char* name_of(Doing doing) {
  switch (doing) {
    case Doing::Nothing: return "nothing";
    case Doing::Reading: return "reading";
    case Doing::Writing: return "writing";
    case Doing::Timer: return "timer";
    case Doing::Application: return "application";
    case Doing::BusFrame: return "bus frame";
    case Doing::Closing: return "closing";
  }
  return "?";
}

// How a worker died, as its successor is told.
//   0: killed from outside (SIGKILL, out of memory): nobody is to blame.
//   A signal number: it died of its own code, and what it was serving is to blame.
//   kDeathWatchdog: its loop was stuck.
constexpr int32_t kDeathKilled = 0;
constexpr int32_t kDeathWatchdog = 1000;

// What a successor takes over besides its predecessor's memory: descriptors by number, -1: none.
struct Inheritance {
  static constexpr uint32_t kListensMax = 1024;
  struct Listen {
    uint32_t id = 0;
    int32_t fd = -1;
  };
  int32_t arena = -1;
  int32_t poller = -1;   // The epoll set with all clients in it.
  int32_t log = -1;
  int32_t config = -1;   // Text of the configuration in force; -1: the one the keeper was forked with.
  uint32_t generation = 0;
  uint32_t listen_count = 0;
  Listen listens[kListensMax];
};

struct Life {
  // Futexes: the owner's thread id, with FUTEX_OWNER_DIED once it is dead; 0 before it has begun.
  // See common/ipc/robust_word.h.  A worker that has crashed sets the bit itself: it will never run again.
  std::atomic<uint32_t> worker_word = 0;
  std::atomic<uint32_t> keeper_word = 0;

  std::atomic<int32_t> worker_pid = 0;    // Writer: the worker.
  std::atomic<int32_t> keeper_pid = 0;    // Writer: the keeper.
  std::atomic<int32_t> standby_pid = 0;   // Writer: the standby.

  std::atomic<uint32_t> released = 0;     // Futex, the id of a crashed worker that may end.  Writer: the keeper.
  std::atomic<int32_t> exit_status = 0;   // Of a worker that left.  Writer: the worker.

  // Writer: the worker.  False from its start until it serves; a death before it serves is no client's fault.
  std::atomic<bool> serving = false;
  std::atomic<bool> leaving = false;      // It ends on purpose: no successor.
  std::atomic<int64_t> heartbeat_ms = 0;  // Monotonic, every timer tick.
  std::atomic<int64_t> watchdog_ms = 0;   // worker_watchdog of the configuration in force; 0: off.

  // Writer: the dying worker's signal handler, or the keeper (watchdog).  Cleared as the successor begins.
  std::atomic<int32_t> death = kDeathKilled;

  // What the worker is serving right now.  Writer: the worker; compiler barriers suffice, since the reader looks
  // only once the writer is dead.
  struct Now {
    uint64_t uid = 0;           // Of a connection; 0: none.
    uint32_t slot = 0;
    uint32_t generation = 0;
    Doing doing = Doing::Nothing;
    uint64_t bus_position = 0;  // Of the bus frame it is handling; 0: none.
  } now;

  // A bus frame that killed its worker: twice is enough.  Writer: the successor.
  struct Poison {
    uint64_t bus_position = 0;
    uint32_t deaths = 0;
  } poison;

  // The connection that was being served at the last death from outside, and how far it had come.  A worker that
  // ends itself (_exit() in a library) looks like one that was killed; that the same bytes are there at several
  // deaths in a row tells them apart.  Writer: the successor.
  struct Suspect {
    uint64_t uid = 0;
    uint64_t bytes_received = 0;
    uint32_t deaths = 0;
  } suspect;

  // Writer: the worker fills the one that is not current, then makes it current.
  Inheritance inheritances[2];
  std::atomic<uint32_t> inheritance = 0;
  const Inheritance& inherited() const { return inheritances[inheritance.load(std::memory_order_acquire) & 1]; }
  void inherit(const Inheritance& next) {
    const uint32_t other = (inheritance.load(std::memory_order_relaxed) & 1) ^ 1;
    inheritances[other] = next;
    inheritance.store(other, std::memory_order_release);
  }
};
static_assert(std::atomic<int64_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

}  // namespace beamgate::ipc
