#include "common/ipc/address_table.h"

#include <sys/mman.h>

#include <bit>
#include <new>

#include "common/base/assert.h"

namespace beamgate::ipc {
namespace {

// Tries to count before a connection is let in uncounted; each failure means that another process took the
// entry in between.
constexpr int kAttemptsMax = 4;

}  // namespace

static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free,
              "shared between processes");

size_t AddressTable::bytes_for(uint16_t slots) {
  return sizeof(AddressTable) + size_t{slots} * kEntries * sizeof(std::atomic<uint32_t>);
}

Result<std::unique_ptr<AddressTable, AddressTable::Unmap>> AddressTable::create(uint16_t slots) {
  void* memory = mmap(nullptr, bytes_for(slots), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return system_error("can't map the address table");
  return std::unique_ptr<AddressTable, Unmap>(new (memory) AddressTable(slots));
}

Result<std::unique_ptr<AddressTable, AddressTable::Unmap>> AddressTable::map(int descriptor, int64_t offset,
                                                                              uint16_t slots, bool fresh) {
  void* memory = mmap(nullptr, bytes_for(slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor,
                      offset);
  if (memory == MAP_FAILED) return system_error("can't map the address table");
  if (fresh) return std::unique_ptr<AddressTable, Unmap>(new (memory) AddressTable(slots));
  std::unique_ptr<AddressTable, Unmap> table(std::launder(static_cast<AddressTable*>(memory)));
  BG_ASSERT(table->slots_ == slots);
  return table;
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
  if (!noted(slot)) used_[slot / 64].fetch_or(uint64_t{1} << (slot % 64));
}

uint64_t AddressTable::sum(uint32_t entry) const {
  uint64_t total = 0;
  for (size_t i = 0; i < kSlotWords; ++i) {
    for (uint64_t word = used_[i].load(); word != 0; word &= word - 1) {
      const auto slot = static_cast<uint16_t>(i * 64 + static_cast<size_t>(std::countr_zero(word)));
      total += cell(slot, entry).load();
    }
  }
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
  if (!noted(slot)) return;  // It never counted; don't touch its memory.
  for (uint32_t entry = 0; entry < kEntries; ++entry) {
    uint64_t busy = kBusy + slot;
    keys_[entry].compare_exchange_strong(busy, 0);
    cell(slot, entry).store(0);
  }
  used_[slot / 64].fetch_and(~(uint64_t{1} << (slot % 64)));
}

}  // namespace beamgate::ipc
