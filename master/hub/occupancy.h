// Occupancy: which channels have become occupied or vacant, for applications that want to know.
//
// A channel is vacant when nobody was interested for kVacantMs; one that is back by then was never vacant.
// Owner      Bus.
// Thread     The master's only thread.
// Limits     kWaitingMax changes that nobody has taken, and as many channels that may be vacant soon; more are not told.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace beamgate::master {

class Occupancy {
 public:
  static constexpr int64_t kVacantMs = 3'000;
  static constexpr size_t kWaitingMax = 100'000;

  struct Change {
    std::string channel;
    bool occupied = false;
  };

  void occupied(std::string_view channel);
  void vacated(std::string_view channel, int64_t now_ms);  // Monotonic, as what follows.
  // Channels whose time is over are vacant; when to call it again, or 0.
  int64_t expire(int64_t now_ms);

  bool has_changes() const { return !changes_.empty(); }
  std::vector<Change> take_changes();  // Oldest first.

 private:
  void add(std::string_view channel, bool occupied);

  std::map<std::string, int64_t, std::less<>> vacant_since_;
  std::deque<std::pair<int64_t, std::string>> due_;  // By time; an entry whose channel has another time is void.
  std::vector<Change> changes_;
};

}  // namespace beamgate::master
