// User index: which of this worker's connections are a user's, so that a call for one user needs no look at the others.
//
// Owner      Connections, which writes Record::user.  A successor fills its own from the records.
// Thread     Worker loop thread only.
// Users      are known by a hash: two may share one, and whoever looks compares the names.
// Cost       16 bytes for each slot up to the highest one that has had a user, and an entry of a table for each user.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/keyed_hash.h"

namespace beamgate::net {

class UserIndex {
 public:
  void set(uint32_t slot, std::string_view user);  // Of nobody else from now on; empty: of nobody.

  std::vector<uint32_t> slots_of(std::string_view user) const;  // Ascending.
  size_t users() const { return first_.size(); }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  // Of the list of one user's slots.
  struct Link {
    uint64_t user = 0;  // Its hash; 0: nobody's.
    uint32_t next = kNone;
    uint32_t previous = kNone;
  };

  uint64_t key_of(std::string_view user) const;
  void take_out(Link& link);

  KeyedHash hash_;
  std::vector<Link> links_;                        // By slot.
  std::unordered_map<uint64_t, uint32_t> first_;   // By Link::user.
};

}  // namespace beamgate::net
