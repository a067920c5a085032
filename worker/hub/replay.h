// Replay: the latest publications of held channels and changes of their members, for subscribers that are on their way
// from another worker.
//
// Owner      Hub; it is empty unless a channel is held.
// Limits     kBytesMax: the hub takes the oldest out, and who would need them can't come yet.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "common/ipc/messages.h"

namespace beamgate::hub {

class Replay {
 public:
  static constexpr size_t kBytesMax = 16 << 20;

  struct Entry {
    uint32_t channel = 0;  // Its index in the hub, and what the channel's `hold` was:
    uint64_t hold = 0;     // an index is used again.
    uint64_t offset = 0;
    uint64_t presence = 0; // Not 0: no publication but the change of this number; `payload` is an ipc::PresenceChange.
    uint64_t except = 0;
    uint8_t flags = 0;
    ipc::PayloadKind kind = ipc::PayloadKind::Text;
    std::string payload;
    uint64_t sender = 0;
    std::string user;
    std::string event;
    std::string meta;
  };

  void add(Entry&& entry) {
    bytes_ += size_of(entry);
    entries_.push_back(std::move(entry));
  }
  bool too_large() const { return bytes_ > kBytesMax; }
  Entry take_oldest() {  // REQUIRES: not empty.
    Entry entry = std::move(entries_.front());
    entries_.pop_front();
    bytes_ -= size_of(entry);
    return entry;
  }
  void clear() {
    entries_.clear();
    bytes_ = 0;
  }

  const std::deque<Entry>& entries() const { return entries_; }  // Oldest first.

 private:
  static size_t size_of(const Entry& entry) { return sizeof entry + entry.payload.size() + entry.user.size() + entry.event.size() + entry.meta.size(); }

  std::deque<Entry> entries_;
  size_t bytes_ = 0;
};

}  // namespace beamgate::hub
