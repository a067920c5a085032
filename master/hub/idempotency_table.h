// IdempotencyTable: remembers what became of publications that carried an idempotency key.
//
// Owner      Bus.
// Limits     kEntriesMax keys, each for kKeepMs; the oldest goes first.  A key that was forgotten is new again.
// Thread     The master's only thread.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/base/keyed_hash.h"

namespace beamgate::master {

class IdempotencyTable {
 public:
  static constexpr size_t kEntriesMax = 100'000;
  static constexpr int64_t kKeepMs = 5 * 60 * 1'000;

  struct Receipt {
    uint64_t offset = 0;
    std::string epoch;
  };

  // What the same key of the same channel got before; null when it is new.  Valid until the next call.
  const Receipt* find(std::string_view channel, std::string_view key, int64_t now_ms);
  // REQUIRES: find() has just said that it is new.
  void remember(std::string_view channel, std::string_view key, Receipt receipt, int64_t now_ms);

  size_t size() const { return entries_.size(); }

  // For a handover, oldest first; and back.
  template <typename Visitor>  // (key, receipt, since_ms), key: channel, zero byte, key.
  void for_each(Visitor visit) const {
    for (const std::string* key : order_) {
      const Entry& entry = entries_.find(*key)->second;
      visit(*key, entry.receipt, entry.since_ms);
    }
  }
  void adopt(std::string_view key, Receipt receipt, int64_t since_ms);

 private:
  struct Entry {
    Receipt receipt;
    int64_t since_ms = 0;
  };
  using Entries = std::unordered_map<std::string, Entry, KeyedHash, std::equal_to<>>;

  void forget_oldest();

  Entries entries_;  // By channel name, zero byte, key: a channel's name has no zero byte.
  std::list<const std::string*> order_;  // Oldest first.
  std::string scratch_;
};

}  // namespace beamgate::master
