// Event store: events that wait for delivery, in the arena, so that a successor of this worker can send them.
//
// Layout     A doubly linked list from Arena::Root::EventsHead to EventsTail, oldest first; each node carries
//            its endpoint's name and the finished JSON.
// Owner      EventQueue.
// Thread     Worker loop thread only.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/record/arena.h"

namespace beamgate::hook {

class EventStore {
 public:
  struct Node {
    record::Ref next = record::kNull;
    record::Ref previous = record::kNull;
    uint32_t endpoint_bytes = 0;
    uint32_t json_bytes = 0;
    int64_t created_ms = 0;  // Monotonic.
    uint64_t batch = 0;      // The batch it was sent with, which may be sent again; 0: none yet.
    // The endpoint's name and the JSON follow.
  };

  explicit EventStore(record::Arena& arena) : arena_(arena) {}

  record::Ref append(std::string_view endpoint, std::string_view json, int64_t created_ms);  // kNull: full.
  void remove(record::Ref event);

  record::Ref first() const { return arena_.root(record::Arena::Root::EventsHead); }
  record::Ref next(record::Ref event) const { return node(event).next; }
  Node& node(record::Ref event) const { return *arena_.at<Node>(event); }
  std::string_view endpoint_of(record::Ref event) const;
  std::string_view json_of(record::Ref event) const;

  // Copies what a dead worker has left; a damaged end is left out.
  void copy_from(const record::Arena& from);

 private:
  void save_ends();

  record::Arena& arena_;
};

}  // namespace beamgate::hook
