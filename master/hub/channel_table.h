// ChannelTable: the node's channels - who wants each one, and its place in the one total order.
//
// Owner      Bus.
// Lifetime   A channel lives while a worker is interested, and idle for kIdleMs more, so that a room that
//            empties for a moment continues its numbering.  Borrowed HubChannel references are valid until the
//            next call that isn't const.
// Thread     The master's only thread.
// Limits     kIdleMax idle channels; the one idle for longest is forgotten first.  A forgotten channel that
//            comes back has a new epoch: its offsets can't be mistaken for the old ones.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/base/keyed_hash.h"
#include "master/hub/slot_set.h"

namespace beamgate::master {

struct HubChannel {
  std::string epoch;    // kEpochBytes characters, random for each life of a channel.
  uint64_t offset = 0;  // Of the newest publication.
  SlotSet interested;
};

class ChannelTable {
 public:
  static constexpr int64_t kIdleMs = 10 * 60 * 1'000;
  static constexpr size_t kIdleMax = 100'000;
  static constexpr size_t kEpochBytes = 8;

  const HubChannel& add_interest(std::string_view name, uint16_t slot);
  void remove_interest(std::string_view name, uint16_t slot, int64_t now_ms);
  void drop_slot(uint16_t slot, int64_t now_ms);  // Takes its interest from every channel.

  // Gives the publication its offset; makes the channel when there is none.
  const HubChannel& sequence(std::string_view name, int64_t now_ms);

  // Forgets idle channels whose time is over.
  void expire(int64_t now_ms);

  // For a handover: busy channels, then the idle ones in their order; and back.
  template <typename Visitor>  // (name, channel, idle_since_ms)
  void for_each(Visitor visit) const {
    for (const auto& [name, entry] : channels_) {
      if (!entry.idle) visit(name, entry.channel, int64_t{0});
    }
    for (const auto* idle : idle_) visit(idle->first, idle->second.channel, idle->second.idle_since_ms);
  }
  void adopt(std::string_view name, HubChannel channel, int64_t idle_since_ms);
  // A worker's knowledge of a channel whose master has died: the first epoch and its highest offset count.
  const HubChannel& learn(std::string_view name, std::string_view epoch, uint64_t offset, uint16_t slot);

  const HubChannel* find(std::string_view name) const;
  size_t size() const { return channels_.size(); }
  size_t idle() const { return idle_.size(); }

 private:
  struct Entry;
  using Entries = std::unordered_map<std::string, Entry, KeyedHash, std::equal_to<>>;
  using IdleList = std::list<Entries::value_type*>;  // Longest idle first.

  struct Entry {
    HubChannel channel;
    bool idle = false;
    int64_t idle_since_ms = 0;
    IdleList::iterator place;  // In idle_, while idle.
  };

  Entries::value_type& open(std::string_view name);
  void set_idle(Entries::value_type& entry, int64_t now_ms);
  void set_busy(Entry& entry);
  void forget_longest_idle();

  Entries channels_;
  IdleList idle_;
};

}  // namespace beamgate::master
