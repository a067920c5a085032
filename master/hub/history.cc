#include "master/hub/history.h"

#include <algorithm>

namespace beamgate::master {

size_t HistoryStore::bytes_of(const KeptPublication& publication) {
  constexpr size_t kBeside = sizeof(Entry) + 4 * sizeof(void*);
  return kBeside + publication.user.size() + publication.event.size() + publication.payload.size();
}

void HistoryStore::set_bytes_max(size_t bytes_max) {
  bytes_max_ = bytes_max;
  trim();
}

void HistoryStore::trim() {
  while (bytes_ > bytes_max_ && !entries_.empty()) entries_.front().history->pop();
}

void History::add(KeptPublication publication, uint32_t count_max, int64_t ttl_ms) {
  ttl_ms_ = ttl_ms;
  const int64_t now_ms = publication.time_ms;
  store_.bytes_ += HistoryStore::bytes_of(publication);
  kept_.push_back(store_.entries_.insert(store_.entries_.end(), {std::move(publication), this}));
  while (kept_.size() > count_max) pop();
  expire(now_ms);
  store_.trim();
}

void History::expire(int64_t now_ms) {
  while (!kept_.empty() && now_ms - kept_.front()->publication.time_ms >= ttl_ms_) pop();
}

void History::clear() {
  while (!kept_.empty()) pop();
}

void History::forget_until(uint64_t offset) {
  while (!kept_.empty() && kept_.front()->publication.offset <= offset) pop();
}

void History::pop() {
  const auto entry = kept_.front();
  kept_.pop_front();
  store_.bytes_ -= HistoryStore::bytes_of(entry->publication);
  store_.entries_.erase(entry);
}

std::optional<std::vector<ipc::Past>> History::missed(uint64_t after, uint64_t top, size_t max) const {
  std::vector<ipc::Past> out;
  if (after > top) return std::nullopt;  // Of a stream that this one is not.
  if (after == top) return out;
  if (top - after > max || kept_.size() < top - after) return std::nullopt;
  for (size_t i = kept_.size() - (top - after); i < kept_.size(); ++i) out.push_back(kept_[i]->publication.view());
  // Some were not to be kept.
  if (out.front().offset != after + 1 || out.back().offset != top) return std::nullopt;
  return out;
}

std::vector<ipc::Past> History::newest(size_t max, bool reverse) const {
  std::vector<ipc::Past> out;
  for (size_t i = kept_.size() - std::min(max, kept_.size()); i < kept_.size(); ++i) {
    out.push_back(kept_[i]->publication.view());
  }
  if (reverse) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<ipc::Past> History::from(uint64_t offset, size_t max, bool reverse) const {
  std::vector<ipc::Past> out;
  const auto offset_of = [](const auto& entry) { return entry->publication.offset; };
  if (reverse) {
    auto at = std::ranges::lower_bound(kept_, offset, {}, offset_of);
    while (at != kept_.begin() && out.size() < max) out.push_back((*--at)->publication.view());
    return out;
  }
  for (auto at = std::ranges::upper_bound(kept_, offset, {}, offset_of); at != kept_.end() && out.size() < max; ++at) {
    out.push_back((*at)->publication.view());
  }
  return out;
}

}  // namespace beamgate::master
