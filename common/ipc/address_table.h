// AddressTable: how many client connections each address holds, over all workers; a second one counts the connections of
// each key of limit_conn.
//
// Owner      The master maps them before it forks, from a file of its own that a later image of it can map again; every worker counts in it, in its own slot's column.
// Lifetime   As long as the master.  What a killed worker had counted is dropped with its slot: drop_slot().
// Thread     Any process, lock-free.  A column has one writer at a time: the slot's worker, or the master
//            once that worker is dead.
// Limits     kEntries addresses.  A key has kProbesMax places; when all of them are held by other addresses
//            the connection is admitted without being counted.
// Errors     None: counting never stops serving.
//
// An entry is a key; its counts stand in one column per slot, so that a dead worker's share is known.  An
// entry whose counts are all zero may be taken for another key: the taker first writes a Busy mark, looks at
// the counts again, and gives the entry back when somebody counted meanwhile; who counts looks at the key
// again after counting.  One of both sees the other.  Two workers that take two idle entries for the same new
// key at the same moment count apart: the limit is then reached later, never earlier.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "common/base/assert.h"
#include "common/base/result.h"

namespace beamgate::ipc {

class AddressTable {
 public:
  static constexpr uint32_t kEntries = 65'536;
  static constexpr uint32_t kProbesMax = 32;
  static constexpr uint32_t kUncounted = UINT32_MAX;

  struct Admission {
    bool admitted = false;
    uint32_t entry = kUncounted;  // For release().
  };

  // One for so many slots, in memory shared with the processes forked later.
  struct Unmap {
    void operator()(AddressTable* table) const;
  };
  static Result<std::unique_ptr<AddressTable, Unmap>> create(uint16_t slots);
  // The same in a file, from `offset` (of whole pages) on.  fresh: the file has only zero bytes there; otherwise what
  // a process with this layout has put there.
  static Result<std::unique_ptr<AddressTable, Unmap>> map(int descriptor, int64_t offset, uint16_t slots, bool fresh);
  static size_t bytes_for(uint16_t slots);

  // Counts one more connection of this address unless that would make more than `limit`.
  // key: a hash of the address; keyed, since clients choose it.
  Admission try_acquire(uint16_t slot, uint64_t key, uint32_t limit);
  // Takes back an admission; one that was not counted is ignored.
  void release(uint16_t slot, uint32_t entry);

  // Connections of the address now, over all slots; 0 when it is unknown.
  uint32_t count(uint64_t key) const;

  // REQUIRES: the slot's worker is dead.
  void drop_slot(uint16_t slot);

 private:
  // Keys from kBusy up mark an entry that a slot's worker is taking.  0 is an entry never used.
  static constexpr uint64_t kBusy = ~uint64_t{0xffff};

  static constexpr size_t kSlotWords = 4;

  explicit AddressTable(uint16_t slots) : slots_(slots) { BG_ASSERT(slots <= kSlotWords * 64); }

  static uint64_t usable(uint64_t key);
  static uint32_t place(uint64_t key, uint32_t probe);
  std::atomic<uint32_t>& cell(uint16_t slot, uint32_t entry);
  const std::atomic<uint32_t>& cell(uint16_t slot, uint32_t entry) const;
  void note_slot(uint16_t slot);
  bool noted(uint16_t slot) const { return ((used_[slot / 64].load() >> (slot % 64)) & 1) != 0; }
  uint64_t sum(uint32_t entry) const;
  uint32_t find(uint64_t key) const;
  uint32_t take(uint16_t slot, uint64_t key);
  uint32_t take_idle(uint16_t slot, uint64_t key);

  const uint16_t slots_;
  std::atomic<uint64_t> used_[kSlotWords] = {};  // Bits of the slots that have counted; only their columns are looked at.
  std::atomic<uint64_t> keys_[kEntries] = {};
  std::atomic<uint32_t> cells_[];  // slots_ columns of kEntries; memory is taken as slots are used.
};

}  // namespace beamgate::ipc
