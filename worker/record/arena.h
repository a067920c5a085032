// Arena: the shared mapping that holds everything a connection is, so that it can outlive its worker.
//
// Owner      The master creates the memfd, the worker maps it; a successor may map it again.  Nothing in it
//            is a pointer: a Ref counts 16-byte units from the start of the mapping.
// Layout     header | records (one per connection slot) | span table | heap of 64 KiB spans.  The file is
//            sparse: only touched pages cost memory, and an emptied span is punched out again.
// Thread     Worker loop thread only.
// Limits     kHeapBytesMax; allocate() returns kNull when the heap is full, the caller applies its policy.
// Method     Size classes; each span holds blocks of one class with its own free list and live count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/assert.h"
#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace beamgate::record {

using Ref = uint32_t;
constexpr Ref kNull = 0;
constexpr size_t kRefUnit = 16;

struct Record;

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

  // Maps fd (sized here) for this many connection slots.  An invalid fd makes a private arena; for tests.
  static Result<Arena> map(UniqueFd fd, uint32_t slots);

  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&&) = delete;
  ~Arena();

  // At least `bytes` bytes, uninitialised, 16-byte aligned; kNull when full or above kBlockBytesMax.
  Ref allocate(size_t bytes);
  void release(Ref ref);  // kNull is allowed.

  // Usable size of a block, at least what was asked for.
  size_t capacity(Ref ref) const;

  template <typename T = char>
  T* at(Ref ref) const {
    BG_ASSERT(ref != kNull);
    return reinterpret_cast<T*>(base_ + static_cast<size_t>(ref) * kRefUnit);
  }

  // Where lists that belong to no connection begin.
  enum class Root : uint8_t { EventsHead, EventsTail, kCount };
  Ref& root(Root which) const;

  Record* records() const { return records_; }
  uint32_t slots() const { return slots_; }
  uint64_t bytes_live() const { return bytes_live_; }  // Sum of capacities of live blocks.

 private:
  Arena(char* base, size_t mapped_bytes, uint32_t slots);

  struct ClassList {
    uint32_t first = 0;  // Span index + 1 of a span with room.
  };

  Ref allocate_block(uint8_t size_class);
  Ref allocate_run(size_t bytes);
  uint32_t take_spans(uint8_t order);
  void give_spans(uint32_t first, uint8_t order);
  void link(uint8_t size_class, uint32_t span);
  void unlink(uint8_t size_class, uint32_t span);
  char* block_start(uint32_t span, uint8_t size_class, uint16_t block) const;
  uint16_t load_block_link(uint32_t span, uint8_t size_class, uint16_t block) const;
  void store_block_link(uint32_t span, uint8_t size_class, uint16_t block, uint16_t next);
  char* span_start(uint32_t span) const { return heap_ + static_cast<size_t>(span) * kSpanBytes; }
  uint32_t span_of(Ref ref) const;
  Ref ref_of(const char* address) const { return static_cast<Ref>((address - base_) / kRefUnit); }

  char* base_ = nullptr;
  size_t mapped_bytes_ = 0;
  uint32_t slots_ = 0;
  Record* records_ = nullptr;
  Span* spans_ = nullptr;
  uint32_t span_count_ = 0;
  char* heap_ = nullptr;

  // Caches over the span table.
  std::vector<ClassList> classes_;
  std::vector<std::vector<uint32_t>> free_runs_;  // By order.
  uint32_t spans_touched_ = 0;
  uint64_t bytes_live_ = 0;
};

}  // namespace beamgate::record
