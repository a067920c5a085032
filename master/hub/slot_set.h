// SlotSet: a set of worker slots, as a bitmap of fixed size.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "common/ipc/handover.h"

namespace beamgate::master {

class SlotSet {
 public:
  static SlotSet first(uint16_t count) {
    SlotSet out;
    for (uint16_t slot = 0; slot < count; ++slot) out.add(slot);
    return out;
  }

  void add(uint16_t slot) { words_[slot / 64] |= bit(slot); }
  void remove(uint16_t slot) { words_[slot / 64] &= ~bit(slot); }
  bool contains(uint16_t slot) const { return (words_[slot / 64] & bit(slot)) != 0; }
  bool operator==(const SlotSet&) const = default;
  bool empty() const {
    for (const uint64_t word : words_) {
      if (word != 0) return false;
    }
    return true;
  }

  template <typename Visitor>
  void for_each(Visitor visit) const {
    for (size_t i = 0; i < words_.size(); ++i) {
      for (uint64_t word = words_[i]; word != 0; word &= word - 1) {
        visit(static_cast<uint16_t>(i * 64 + static_cast<size_t>(std::countr_zero(word))));
      }
    }
  }
  size_t size() const {
    size_t count = 0;
    for (const uint64_t word : words_) count += static_cast<size_t>(std::popcount(word));
    return count;
  }

 private:
  static constexpr uint64_t bit(uint16_t slot) { return uint64_t{1} << (slot % 64); }

  std::array<uint64_t, ipc::kSlotsMax / 64> words_{};
};

}  // namespace beamgate::master
