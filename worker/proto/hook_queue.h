// Hook queue: the messages of one connection that its application has not dealt with yet, oldest first.
//
// Owner      The record: a list in the arena at hook_head and hook_tail, so that a successor of this worker can
//            send the first one again, under the same id.
// Limits     The caller's: config::Webhook::connection_queue.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "worker/record/record.h"

namespace beamgate::proto {

class HookQueue {
 public:
  struct Message {
    bool binary = false;
    uint32_t sequence = 0;
    std::string_view bytes;  // Good until it is popped.
  };

  explicit HookQueue(record::Arena& arena) : arena_(arena) {}

  // False: the arena is full.
  [[nodiscard]] bool push(record::Record& record, bool binary, uint32_t sequence, std::string_view bytes);
  Message front(const record::Record& record) const;  // REQUIRES: record.hook_messages > 0.
  std::vector<Message> all(const record::Record& record) const;
  void pop(record::Record& record);
  // Takes so many bytes of the first one, but not all of them.  False: the arena is full.
  [[nodiscard]] bool cut_front(record::Record& record, size_t bytes);
  void clear(record::Record& record);
  // Copies the queue of a record in a dead worker's arena.  False: it is damaged, or the arena is full.
  bool copy_from(const record::Arena& from, const record::Record& old, record::Record& record);

 private:
  record::Arena& arena_;
};

}  // namespace beamgate::proto
