// ChannelTable: the node's channels - who wants each one, and its place in the one total order.
//
// Owner      Bus.
// Lifetime   A channel lives while a worker is interested, and idle for kIdleMs more, so that a room that
//            empties for a moment continues its numbering.  Borrowed HubChannel references are valid until the
//            next call that isn't const.
// Thread     The master's only thread.
//            A channel with a history lives as long as that.
// Limits     kIdleMax idle channels; the one idle for longest is forgotten first.  A forgotten channel that
//            comes back has a new epoch: its offsets can't be mistaken for the old ones.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/base/keyed_hash.h"
#include "common/config/model.h"
#include "master/hub/history.h"
#include "master/hub/slot_set.h"

namespace beamgate::master {

// "conflate": the newest publication that subscribers have not got yet.
struct Conflated {
  int64_t next_ms = 0;    // Monotonic time from which on one may be delivered.
  bool waits = false;     // There is one, and a timer for it.
  uint64_t except = 0;
  KeptPublication newest;
  std::string meta;       // Of its origin.
};

struct HubChannel {
  std::string epoch;    // kEpochBytes characters, random for each life of a channel.
  uint64_t offset = 0;  // Of the newest publication.
  uint64_t presence = 0;  // Of the newest PresenceChange that was told.
  SlotSet interested;
  std::unique_ptr<History> history;  // Null: nothing was kept yet.
  std::unique_ptr<Conflated> conflated;  // Null: nothing was conflated yet.
  // What holds for it, of the configuration of this generation.
  const config::ChannelRules* rules = nullptr;
  uint64_t rules_generation = 0;
};

class ChannelTable {
 public:
  static constexpr int64_t kIdleMs = 10 * 60 * 1'000;
  static constexpr size_t kIdleMax = 100'000;
  static constexpr size_t kEpochBytes = 8;

  // Told when somebody is interested in a channel that nobody was, and when the last one is not any more.
  using OnOccupancy = std::function<void(std::string_view channel, bool occupied)>;
  void set_on_occupancy(OnOccupancy on_occupancy) { on_occupancy_ = std::move(on_occupancy); }

  const HubChannel& add_interest(std::string_view name, uint16_t slot);
  void remove_interest(std::string_view name, uint16_t slot, int64_t now_ms);
  void drop_slot(uint16_t slot, int64_t now_ms);  // Takes its interest from every channel.

  // Gives the publication its offset; makes the channel when there is none.
  HubChannel& sequence(std::string_view name, int64_t now_ms);
  // Keeps a publication that sequence() has just numbered.
  void keep(HubChannel& channel, KeptPublication publication, uint32_t count_max, int64_t ttl_ms);
  void set_history_bytes_max(size_t bytes_max) { store_.set_bytes_max(bytes_max); }

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
  // A worker's knowledge of a channel whose master has died: the first epoch and its highest numbers count.
  const HubChannel& learn(std::string_view name, std::string_view epoch, uint64_t offset, uint64_t presence, uint16_t slot);

  const HubChannel* find(std::string_view name) const;
  HubChannel* find(std::string_view name);
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
  void note_occupancy(std::string_view name, bool occupied) const;

  OnOccupancy on_occupancy_;
  HistoryStore store_;  // Outlives the channels.
  Entries channels_;
  IdleList idle_;
};

}  // namespace beamgate::master
