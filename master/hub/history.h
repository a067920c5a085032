// History: the publications of channels that are kept for a while, so that clients can get what they have missed.
//
// Owner      HistoryStore by ChannelTable; a History by its channel, and not longer than the store.
// Thread     The master's only thread.
// Limits     A channel's number and time (config::ChannelRules); bytes_max of the store over all channels: the oldest
//            publication of all goes first.
// Order      Offsets of one History rise without gaps; what is missing is missing at its beginning.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "common/ipc/messages.h"

namespace beamgate::master {

class History;

struct KeptPublication {
  uint64_t offset = 0;
  int64_t time_ms = 0;     // Unix time.
  ipc::PayloadKind kind = ipc::PayloadKind::Text;
  uint64_t sender = 0;
  std::string user;
  std::string event;
  std::string payload;

  ipc::Past view() const {
    return {.offset = offset, .time_ms = time_ms, .payload_kind = kind, .payload = payload,
            .origin = {.sender = sender, .user = user, .event = event}};
  }
};

class HistoryStore {
 public:
  // Too much already: the oldest go.
  void set_bytes_max(size_t bytes_max);
  size_t bytes() const { return bytes_; }
  size_t size() const { return entries_.size(); }

 private:
  friend class History;

  struct Entry {
    KeptPublication publication;
    History* history = nullptr;
  };
  using Entries = std::list<Entry>;  // Oldest first.

  static size_t bytes_of(const KeptPublication& publication);
  void trim();

  Entries entries_;
  size_t bytes_ = 0;
  size_t bytes_max_ = 256 << 20;
};

class History {
 public:
  explicit History(HistoryStore& store) : store_(store) {}
  ~History() { clear(); }
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // REQUIRES: its offset is higher than all before it.  Those that it makes too many or too old go.
  void add(KeptPublication publication, uint32_t count_max, int64_t ttl_ms);
  void expire(int64_t now_ms);  // By the time that add() was given last.
  void clear();
  void forget_until(uint64_t offset);

  bool empty() const { return kept_.empty(); }
  size_t size() const { return kept_.size(); }
  uint64_t newest_offset() const { return kept_.empty() ? 0 : kept_.back()->publication.offset; }

  // All after `after` up to `top`, the channel's newest offset; nothing when one is missing or there are more than `max`.
  // Views are good until the next change.
  std::optional<std::vector<ipc::Past>> missed(uint64_t after, uint64_t top, size_t max) const;
  // The newest `max`, oldest first unless reverse.
  std::vector<ipc::Past> newest(size_t max, bool reverse) const;
  // At most `max` with higher offsets, oldest first; reverse: with lower ones, newest first.
  std::vector<ipc::Past> from(uint64_t offset, size_t max, bool reverse) const;

  template <typename Visitor>  // (KeptPublication), oldest first.
  void for_each(Visitor visit) const {
    for (const auto& entry : kept_) visit(entry->publication);
  }

 private:
  friend class HistoryStore;

  void pop();

  HistoryStore& store_;
  std::deque<HistoryStore::Entries::iterator> kept_;  // Oldest first.
  int64_t ttl_ms_ = 0;
};

}  // namespace beamgate::master
