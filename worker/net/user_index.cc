#include "worker/net/user_index.h"

#include <algorithm>

namespace beamgate::net {

uint64_t UserIndex::key_of(std::string_view user) const { return std::max<uint64_t>(hash_(user), 1); }

void UserIndex::set(uint32_t slot, std::string_view user) {
  if (slot < links_.size()) take_out(links_[slot]);
  if (user.empty()) return;
  if (slot >= links_.size()) links_.resize(slot + size_t{1});
  const uint64_t key = key_of(user);
  const auto [entry, is_first] = first_.try_emplace(key, slot);
  links_[slot] = {.user = key, .next = is_first ? kNone : entry->second, .previous = kNone};
  if (is_first) return;
  links_[entry->second].previous = slot;
  entry->second = slot;
}

void UserIndex::take_out(Link& link) {
  if (link.user == 0) return;
  if (link.next != kNone) links_[link.next].previous = link.previous;
  if (link.previous != kNone) {
    links_[link.previous].next = link.next;
  } else if (link.next != kNone) {
    first_[link.user] = link.next;
  } else {
    first_.erase(link.user);
  }
  link = {};
}

std::vector<uint32_t> UserIndex::slots_of(std::string_view user) const {
  std::vector<uint32_t> slots;
  const auto entry = user.empty() ? first_.end() : first_.find(key_of(user));
  if (entry == first_.end()) return slots;
  for (uint32_t slot = entry->second; slot != kNone; slot = links_[slot].next) slots.push_back(slot);
  std::sort(slots.begin(), slots.end());
  return slots;
}

}  // namespace beamgate::net
