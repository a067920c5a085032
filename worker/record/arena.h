// Arena: the shared mapping that holds everything a connection is, so that it can outlive its worker.
//
// Owner      The worker, whose memfd comes with its handover.  Nothing in it is a pointer: a Ref counts 16-byte units
//            from the start of the mapping.
// Layout     header | stage (landing and turn buffers) | journal | records (one per connection slot) | span table |
//            heap of 64 KiB spans.  The file is sparse: only touched pages cost memory, and trim() punches out again
//            what was emptied and is not needed.
// Steps      See journal.h: what is released inside a step is free only once the step is committed.
// Successor  open() maps the arena of a worker that is dead, to take its open step back and then only to read it: its
//            allocator's state is of no interest, and every Ref in it is to be looked at with look(), which trusts
//            nothing.
// Thread     Worker loop thread only.
// Limits     kHeapBytesMax; allocate() returns kNull when the heap is full, the caller applies its policy.
//            Emptied spans keep their memory until trims give it back; with what is live, not more than was lately live
//            and kIdleBytesMax.
// Method     Size classes; each span holds blocks of one class with its own free list and live count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/assert.h"
#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "worker/record/journal.h"

namespace beamgate::record {

using Ref = uint32_t;
constexpr Ref kNull = 0;
constexpr size_t kRefUnit = 16;

struct Record;

// What no record says between two system calls: where the bytes of the connection that is being served are, and that
// one has come.
struct Stage {
  uint32_t carried = 0;      // Bytes of the connection's carry in front of what recv() brought.
  uint32_t turn_bytes = 0;   // Committed bytes in the turn buffer, still to be written.
  uint32_t ciphertext = 0;   // As `carried`, of ciphertext (Arena::cipher_landing()).
  uint32_t accepting = 0;    // Listen::id + 1 while clients are accepted there: the newest may be in no record yet.
};

// Of the worker itself: what belongs to no connection and must survive.
struct Vault {
  uint32_t slots_touched = 0;   // Records from here on were never used.
  uint32_t unused = 0;
  uint64_t bus_read = 0;        // Position in the stream from the master up to which everything is dealt with.
  uint64_t bus_written = 0;     // Position behind the newest byte for the master.
  uint32_t partial_bytes = 0;   // Of a bus frame that has come in part (Root::BusPartial).
  uint32_t partial_whole = 0;   // What it will have.
};

struct Span {
  uint8_t size_class = 0;    // kClassFree, kClassRunHead or an index into the class table.
  uint8_t run_order = 0;     // RunHead: log2 of the run's length in spans.
  uint16_t live = 0;         // Blocks in use.
  uint16_t touched = 0;      // Blocks handed out at least once; the rest was never written.
  uint16_t free_head = 0;    // Block index + 1 of the first free touched block; 0: none.
  uint32_t next = 0;         // Neighbours in the class's list of spans with room; index + 1.
  uint32_t previous = 0;
};
static_assert(sizeof(Span) == 16);

class Arena {
 public:
  static constexpr uint64_t kHeapBytesMax = uint64_t{16} << 30;
  static constexpr size_t kSpanBytes = 64 << 10;
  static constexpr size_t kBlockBytesMax = size_t{64} << 20;
  static constexpr uint32_t kTrimsPerWindow = 40;
  static constexpr size_t kIdleBytesMax = 32 << 20;  // To punch a span out costs more than to fill it.

  static constexpr size_t kLandingBytes = 16 << 20;  // Address space; memory is taken as it is used.
  static constexpr size_t kCipherLandingBytes = 512 << 10;
  static constexpr size_t kTurnBytes = 64 << 10;

  // Maps fd (sized here) for this many connection slots.  An invalid fd makes a private arena; for tests.
  static Result<Arena> map(UniqueFd fd, uint32_t slots);

  // The arena of a dead worker.  Invalid: it is none, or of another layout.
  static Result<Arena> open(UniqueFd fd);
  // `bytes` bytes at `ref` in an arena that may be damaged; null when there can't be such a block.
  const char* look(Ref ref, size_t bytes) const;
  template <typename T>
  const T* look(Ref ref) const {
    return reinterpret_cast<const T*>(look(ref, sizeof(T)));
  }
  // Usable bytes of the block, 0 when there can't be one.
  size_t look_capacity(Ref ref) const;

  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&&) = delete;
  ~Arena();

  // At least `bytes` bytes, uninitialised, 16-byte aligned; kNull when full or above kBlockBytesMax.
  Ref allocate(size_t bytes);
  void release(Ref ref);  // kNull is allowed.
  void release_secret(Ref ref);  // As well; the block is overwritten before anybody else gets it.

  // Every now and then: gives memory back that was not needed for a window of kTrimsPerWindow, some of it at a time.
  void trim();

  // Usable size of a block, at least what was asked for.
  size_t capacity(Ref ref) const;

  template <typename T = char>
  T* at(Ref ref) const {
    BG_ASSERT(ref != kNull);
    return reinterpret_cast<T*>(base_ + static_cast<size_t>(ref) * kRefUnit);
  }

  // Where lists that belong to no connection begin.
  enum class Root : uint8_t { EventsHead, EventsTail, OutboxHead, OutboxTail, BusPartial, kCount };
  Ref& root(Root which) const;

  Stage& stage() const;
  Vault& vault() const;
  char* landing() const { return landing_; }
  // Where ciphertext comes before it is opened: the landing zone's end, which no plaintext reaches.
  char* cipher_landing() const { return landing_ + kLandingBytes - kCipherLandingBytes; }
  char* turn_buffer() const { return landing_ + kLandingBytes; }

  Journal& journal() { return journal_; }
  void begin_step() { journal_.begin(); }  // What an earlier one has let go of may wait.
  void end_step() {
    journal_.end();
    if (journal_.unsettled()) settle();
  }
  void commit_turn() {
    journal_.commit_turn();
    if (journal_.unsettled()) settle();
  }
  void save(const void* at, size_t bytes) { journal_.save(at, bytes); }
  template <typename T>
  void save(const T& object) {
    journal_.save(object);
  }
  template <typename T>
  void save_secret(const T& object) {
    journal_.save_secret(&object, sizeof object);
  }
  // Takes the open step of a dead worker back; slots: those whose records it had changed.
  bool undo(std::vector<uint32_t>& slots);

  int descriptor() const { return fd_.get(); }  // Of its file; -1: it has none.

  Record* records() const { return records_; }
  uint32_t slots() const { return slots_; }
  uint64_t bytes_live() const { return bytes_live_; }  // Sum of capacities of live blocks.

 private:
  Arena(UniqueFd fd, char* base, size_t mapped_bytes, uint32_t slots);

  // Of one order.
  struct FreeRuns {
    std::vector<uint32_t> kept;   // With their memory; the one that was used last at the end.
    std::vector<uint32_t> empty;  // Without.
    size_t least = 0;             // Of `kept`, since the window began.
    size_t surplus = 0;           // Of `kept`, what was not needed in the window before.
  };
  struct ClassList {
    uint32_t first = 0;  // Span index + 1 of a span with room.
  };

  static Result<Arena> map_file(UniqueFd fd, uint32_t slots);
  void settle();
  void free_block(Ref ref);
  void wipe(Ref ref);
  Ref allocate_block(uint8_t size_class);
  Ref allocate_run(size_t bytes);
  uint32_t take_spans(uint8_t order);
  void give_spans(uint32_t first, uint8_t order);
  void punch_out(uint32_t first, uint8_t order);
  void link(uint8_t size_class, uint32_t span);
  void unlink(uint8_t size_class, uint32_t span);
  char* block_start(uint32_t span, uint8_t size_class, uint16_t block) const;
  uint16_t load_block_link(uint32_t span, uint8_t size_class, uint16_t block) const;
  void store_block_link(uint32_t span, uint8_t size_class, uint16_t block, uint16_t next);
  char* span_start(uint32_t span) const { return heap_ + static_cast<size_t>(span) * kSpanBytes; }
  uint32_t span_of(Ref ref) const;
  Ref ref_of(const char* address) const { return static_cast<Ref>((address - base_) / kRefUnit); }

  UniqueFd fd_;
  char* base_ = nullptr;
  size_t mapped_bytes_ = 0;
  uint32_t slots_ = 0;
  Record* records_ = nullptr;
  char* landing_ = nullptr;
  Journal journal_;
  Span* spans_ = nullptr;
  uint32_t span_count_ = 0;
  char* heap_ = nullptr;

  // Caches over the span table.
  std::vector<ClassList> classes_;
  std::vector<FreeRuns> free_runs_;  // By order.
  size_t idle_bytes_ = 0;            // Of all kept ones.
  uint32_t trims_ = 0;
  uint32_t spans_touched_ = 0;
  uint64_t bytes_live_ = 0;
  uint64_t most_live_ = 0;         // In this window of trims,
  uint64_t most_live_before_ = 0;  // and in the one before.
};

// A step for a scope; see journal.h.
class Step {
 public:
  explicit Step(Arena& arena) : arena_(arena) { arena_.begin_step(); }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  ~Step() { arena_.end_step(); }

 private:
  Arena& arena_;
};

}  // namespace beamgate::record
