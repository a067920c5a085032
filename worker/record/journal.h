// Journal: what the step in progress has changed, so that a successor can take it back.
//
// Everything that is done for one event is one step.  When the worker is killed inside it, the successor finds the
// arena as it was before the step, and the event (bytes of a client, a frame of the bus) is handled once more.
//   in place    save() the old bytes before they change
//   appended    what lies beyond a committed length or list end needs no save
//   released    blocks are given back only when the step is committed: until then the old state may name them
//   descriptors are closed only when the step is committed
// What a step wants to send leaves after its commit.  (Undo logging: Gray and Reuter 1992, chapter 10; without the
// disk, since a process that is killed loses no store it has made.)
// Owner      Arena.
// Thread     Worker loop thread only.
// Limits     kBytesMax of saved bytes; a step that saves more can't be taken back.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

namespace beamgate::record {

class Journal {
 public:
  static constexpr size_t kBytesMax = size_t{256} << 20;
  static constexpr size_t kKeptBytes = 1 << 20;  // Memory of the log that stays; what a large step took goes back.

  // In the arena's header.
  struct Head {
    uint64_t bytes = 0;     // Of the log; 0: nothing to take back.
    uint32_t overflow = 0;  // The step has saved more than the log holds.
    uint32_t padding = 0;
  };

  Journal() = default;
  Journal(Head* head, char* log, char* base) : head_(head), log_(log), base_(base) {}

  // From now on there is always a step: what isn't in one of its own belongs to that of the loop turn.
  void open_always() { always_ = true; }
  bool open() const { return always_ || depth_ > 0; }
  uint32_t number() const { return number_; }

  // The beginning and the end of a step; of nested ones the outermost counts.
  void begin() {
    if (depth_++ == 0) commit();
  }
  void end() {
    if (--depth_ == 0) commit();
  }
  // Between two steps: what the loop turn has done so far is committed.
  void commit_turn() {
    if (depth_ == 0) commit();
  }
  // A committed step has something left to carry out: blocks in released(), descriptors.
  bool unsettled() const { return depth_ == 0 && !(released_.empty() && doomed_.empty()); }

  // `at` lies in the arena.
  void save(const void* at, size_t bytes) {
    if (!open()) return;
    const size_t room = sizeof(Entry) + (bytes + 7) / 8 * 8;
    if (head_->bytes + room > kBytesMax) {
      head_->overflow = 1;
      return;
    }
    char* to = log_ + head_->bytes;
    const Entry entry{static_cast<uint64_t>(static_cast<const char*>(at) - base_), bytes};
    memcpy(to, &entry, sizeof entry);
    memcpy(to + sizeof entry, at, bytes);
    fence();
    head_->bytes += room;
    fence();
  }
  template <typename T>
  void save(const T& object) {
    save(&object, sizeof object);
  }
  // As well; the commit overwrites what was saved.
  void save_secret(const void* at, size_t bytes) {
    secret_ = true;
    save(at, bytes);
  }

  // At the commit; at once when no step is open.  end: the connection ends, whoever else may hold the descriptor.
  void close_descriptor(int fd, bool end);
  // Takes a block for later release; false: no step is open, release it now.  secret: it is overwritten then.
  bool defer_release(uint32_t ref, bool secret) {
    if (!open()) return false;
    released_.push_back({ref, secret});
    return true;
  }
  struct Released {
    uint32_t ref = 0;
    bool secret = false;
  };
  std::vector<Released>& released() { return released_; }
  void close_doomed();

  // --- For a successor, over the arena of the dead.
  // Puts everything back, newest first, and calls restored(offset, bytes) for each piece.  False: the log itself
  // makes no sense, and as much as did was put back; or the step has saved more than it holds, and nothing was.
  bool undo(size_t mapped_bytes, const std::function<void(uint64_t offset, uint64_t bytes)>& restored);

 private:
  struct Entry {
    uint64_t offset = 0;
    uint64_t bytes = 0;
  };

  // The process may be killed at any instruction, but its stores are made in program order.
  static void fence() { std::atomic_signal_fence(std::memory_order_seq_cst); }

  void commit() {
    ++number_;
    fence();
    const auto kept = static_cast<size_t>(std::min<uint64_t>(head_->bytes, kKeptBytes));
    if (head_->bytes > kKeptBytes) give_back();
    head_->bytes = 0;
    head_->overflow = 0;
    fence();
    if (std::exchange(secret_, false)) explicit_bzero(log_, kept);
  }
  void give_back();

  Head* head_ = nullptr;
  char* log_ = nullptr;
  char* base_ = nullptr;
  bool always_ = false;
  bool secret_ = false;  // Something of the step's log is.
  int depth_ = 0;
  uint32_t number_ = 1;
  std::vector<Released> released_;
  struct Doomed {
    int fd = -1;
    bool end = false;
  };
  std::vector<Doomed> doomed_;
};

}  // namespace beamgate::record
