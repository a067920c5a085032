#include "worker/ws/history.h"

#include <algorithm>
#include <cstring>

namespace beamgate::ws {
namespace {

using record::kNull;
using record::Ref;

constexpr size_t kFirstBytes = 500;  // With the head, 512.

}  // namespace

size_t History::size() const { return ref_ == kNull ? 0 : head().size; }

bool History::reserve(size_t bytes) {
  const size_t held = size();
  const size_t capacity = ref_ == kNull ? 0 : head().capacity;
  const size_t wanted = std::min(held + bytes, window_bytes_);
  if (wanted <= capacity) return true;
  const size_t grown = std::min(window_bytes_, std::max({wanted, 2 * capacity, kFirstBytes}));
  const Ref bigger = arena_.allocate(sizeof(Head) + grown);
  if (bigger == kNull) return false;
  const Head fresh{static_cast<uint32_t>(held), static_cast<uint32_t>(grown), 0};
  *arena_.at<Head>(bigger) = fresh;
  if (held > 0) copy_to({arena_.at(bigger) + sizeof(Head), held});
  arena_.release(ref_);
  ref_ = bigger;
  return true;
}

void History::append(std::string_view text) {
  if (text.empty()) return;
  Head& ring = head();
  arena_.save(ring);
  // Free room is written over without a word; what was part of the window must be found again.
  const bool over_window = ring.size + text.size() > ring.capacity;
  if (text.size() >= ring.capacity) {
    text.remove_prefix(text.size() - ring.capacity);
    ring.begin = 0;
    ring.size = 0;
  }
  // Writes behind the newest byte, over the oldest ones where there is no other room.
  const size_t at = (ring.begin + ring.size) % ring.capacity;
  const size_t first = std::min(text.size(), ring.capacity - at);
  if (over_window) {
    arena_.save(bytes() + at, first);
    arena_.save(bytes(), text.size() - first);
  }
  memcpy(bytes() + at, text.data(), first);
  memcpy(bytes(), text.data() + first, text.size() - first);
  const size_t total = ring.size + text.size();
  const size_t lost = total > ring.capacity ? total - ring.capacity : 0;
  ring.begin = static_cast<uint32_t>((ring.begin + lost) % ring.capacity);
  ring.size = static_cast<uint32_t>(total - lost);
}

size_t History::copy_to(std::span<char> to) const {
  if (ref_ == kNull) return 0;
  const Head& ring = head();
  const size_t first = std::min<size_t>(ring.size, ring.capacity - ring.begin);
  memcpy(to.data(), bytes() + ring.begin, first);
  memcpy(to.data() + first, bytes(), ring.size - first);
  return ring.size;
}

}  // namespace beamgate::ws
