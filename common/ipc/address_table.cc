#include "common/ipc/address_table.h"

#include <sys/mman.h>

#include <new>

#include "common/base/assert.h"

namespace beamgate::ipc {
namespace {

// Tries to count before a connection is let in uncounted; each failure means that another process took the
// entry in between.
constexpr int kAttemptsMax = 4;

size_t bytes_for(uint16_t slots) {
  return sizeof(AddressTable) + size_t{slots} * AddressTable::kEntries * sizeof(std::atomic<uint32_t>);
}

}  // namespace

static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free,
              "shared between processes");

Result<std::unique_ptr<AddressTable, AddressTable::Unmap>> AddressTable::create(uint16_t slots) {
  void* memory = mmap(nullptr, bytes_for(slots), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return system_error("can't map the address table");
  return std::unique_ptr<AddressTable, Unmap>(new (memory) AddressTable(slots));
}

void AddressTable::Unmap::operator()(AddressTable* table) const { munmap(table, bytes_for(table->slots_)); }

uint64_t AddressTable::usable(uint64_t key) { return key == 0 || key >= kBusy ? 1 : key; }

uint32_t AddressTable::place(uint64_t key, uint32_t probe) {
  return static_cast<uint32_t>((key + probe) % kEntries);
}

std::atomic<uint32_t>& AddressTable::cell(uint16_t slot, uint32_t entry) {
  return cells_[size_t{slot} * kEntries + entry];
}

const std::atomic<uint32_t>& AddressTable::cell(uint16_t slot, uint32_t entry) const {
  return cells_[size_t{slot} * kEntries + entry];
}

void AddressTable::note_slot(uint16_t slot) {
  BG_ASSERT(slot < slots_);
  uint16_t used = slots_used_.load();
  while (used <= slot && !slots_used_.compare_exchange_weak(used, static_cast<uint16_t>(slot + 1))) {
  }
}

uint64_t AddressTable::sum(uint32_t entry) const {
  uint64_t total = 0;
  const uint16_t used = slots_used_.load();
  for (uint16_t slot = 0; slot < used; ++slot) total += cell(slot, entry).load();
  return total;
}

uint32_t AddressTable::find(uint64_t key) const {
  for (uint32_t probe = 0; probe < kProbesMax; ++probe) {
    const uint32_t entry = place(key, probe);
    if (keys_[entry].load() == key) return entry;
  }
  return kUncounted;
}

uint32_t AddressTable::take(uint16_t slot, uint64_t key) {
  for (uint32_t probe = 0; probe < kProbesMax; ++probe) {
    const uint32_t entry = place(key, probe);
    uint64_t seen = 0;
    if (keys_[entry].compare_exchange_strong(seen, key) || seen == key) return entry;
  }
  return take_idle(slot, key);
}

uint32_t AddressTable::take_idle(uint16_t slot, uint64_t key) {
  for (uint32_t probe = 0; probe < kProbesMax; ++probe) {
    const uint32_t entry = place(key, probe);
    uint64_t old = keys_[entry].load();
    if (old >= kBusy || sum(entry) != 0) continue;
    if (!keys_[entry].compare_exchange_strong(old, kBusy + slot)) continue;
    const bool idle = sum(entry) == 0;
    keys_[entry].store(idle ? key : old);
    if (idle) return entry;
  }
  return kUncounted;
}

AddressTable::Admission AddressTable::try_acquire(uint16_t slot, uint64_t key, uint32_t limit) {
  note_slot(slot);
  key = usable(key);
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    uint32_t entry = find(key);
    if (entry == kUncounted) entry = take(slot, key);
    if (entry == kUncounted) break;
    cell(slot, entry).fetch_add(1);
    if (keys_[entry].load() == key) {
      if (sum(entry) <= limit) return {true, entry};
      cell(slot, entry).fetch_sub(1);
      return {false, kUncounted};
    }
    cell(slot, entry).fetch_sub(1);
  }
  return {true, kUncounted};
}

void AddressTable::release(uint16_t slot, uint32_t entry) {
  if (entry == kUncounted) return;
  BG_ASSERT(slot < slots_ && entry < kEntries);
  const uint32_t before = cell(slot, entry).fetch_sub(1);
  BG_ASSERT(before > 0);
}

uint32_t AddressTable::count(uint64_t key) const {
  const uint32_t entry = find(usable(key));
  return entry == kUncounted ? 0 : static_cast<uint32_t>(sum(entry));
}

void AddressTable::drop_slot(uint16_t slot) {
  if (slot >= slots_used_.load()) return;  // It never counted; don't touch its memory.
  for (uint32_t entry = 0; entry < kEntries; ++entry) {
    uint64_t busy = kBusy + slot;
    keys_[entry].compare_exchange_strong(busy, 0);
    cell(slot, entry).store(0);
  }
}

}  // namespace beamgate::ipc
