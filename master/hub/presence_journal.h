// PresenceJournal: the latest changes of who is there, numbered, for applications that were away.
//
// Owner      Bus.
// Thread     The master's only thread.
// Limits     kChangesMax changes; the oldest go first.  A number of another incarnation, or one that was forgotten,
//            tells its reader to begin anew with a snapshot.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/crypto/crypto.h"
#include "common/ipc/messages.h"

namespace beamgate::master {

class PresenceJournal {
 public:
  static constexpr size_t kChangesMax = 50'000;

  struct Change {
    uint64_t sequence = 0;
    bool joined = false;
    int64_t joined_ms = 0;
    int64_t left_ms = 0;
    std::string channel;
    std::string user;
    std::string info;

    uint64_t incarnation = 0;

    ipc::UserChange view() const { return {incarnation, sequence, joined, joined_ms, left_ms, channel, user, info}; }
  };

  const Change& add(Change change) {
    change.sequence = ++sequence_;
    change.incarnation = incarnation_;
    if (changes_.size() == kChangesMax) changes_.pop_front();
    return changes_.emplace_back(std::move(change));
  }

  uint64_t incarnation() const { return incarnation_; }
  uint64_t sequence() const { return sequence_; }  // Of the newest change.

  // At most `max` changes behind `since`, oldest first; nothing when some of them are not known any more.
  std::optional<std::vector<ipc::UserChange>> since(uint64_t incarnation, uint64_t since, size_t max) const {
    const uint64_t before = sequence_ - changes_.size();
    if (incarnation != incarnation_ || since < before || since > sequence_) return std::nullopt;
    std::vector<ipc::UserChange> out;
    for (size_t i = since - before; i < changes_.size() && out.size() < max; ++i) out.push_back(changes_[i].view());
    return out;
  }

  // For a handover.
  const std::deque<Change>& changes() const { return changes_; }
  void adopt(uint64_t incarnation, uint64_t sequence) {
    incarnation_ = incarnation;
    sequence_ = sequence;
  }
  void adopt(Change change) { changes_.push_back(std::move(change)); }

 private:
  uint64_t incarnation_ = crypto::random_u64() >> 11 | 1;  // Exact in a JSON number.
  uint64_t sequence_ = 0;
  std::deque<Change> changes_;
};

}  // namespace beamgate::master
