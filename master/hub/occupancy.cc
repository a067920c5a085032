#include "master/hub/occupancy.h"

#include <utility>

namespace beamgate::master {

void Occupancy::occupied(std::string_view channel) {
  const auto found = vacant_since_.find(channel);
  if (found == vacant_since_.end()) return add(channel, true);
  vacant_since_.erase(found);
}

void Occupancy::vacated(std::string_view channel, int64_t now_ms) {
  if (due_.size() >= kWaitingMax) return;
  vacant_since_.insert_or_assign(std::string(channel), now_ms);
  due_.emplace_back(now_ms, channel);
}

int64_t Occupancy::expire(int64_t now_ms) {
  while (!due_.empty()) {
    const auto& [since_ms, channel] = due_.front();
    if (now_ms - since_ms < kVacantMs) return since_ms + kVacantMs;
    const auto found = vacant_since_.find(channel);
    if (found != vacant_since_.end() && found->second == since_ms) {
      vacant_since_.erase(found);
      add(channel, false);
    }
    due_.pop_front();
  }
  return 0;
}

std::vector<Occupancy::Change> Occupancy::take_changes() { return std::exchange(changes_, {}); }

void Occupancy::add(std::string_view channel, bool occupied) {
  if (changes_.size() < kWaitingMax) changes_.push_back({std::string(channel), occupied});
}

}  // namespace beamgate::master
