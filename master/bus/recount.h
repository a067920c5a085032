// Recount: what the workers have answered to a new master's Recount, until all have.
//
// Whatever else they say meanwhile is kept, in its order: offsets can be given only when everybody has told what it has
// got.
// Owner      Bus, while it runs.
// Thread     The master's only thread.
// Limits     kHeldBytesMax of kept frames; full() then, and the Bus waits no longer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/ipc/packet.h"
#include "master/hub/slot_set.h"

namespace beamgate::master {

class Recount {
 public:
  static constexpr size_t kHeldBytesMax = 256 << 20;

  // One worker's Known.
  struct Account {
    uint16_t slot = 0;
    bool confirmed = false;
    uint64_t offset = 0;
    uint64_t presence = 0;
    std::string epoch;
    std::string channel;
  };
  struct Held {
    uint16_t slot = 0;
    ipc::Kind kind{};
    std::string body;
  };

  explicit Recount(const SlotSet& asked) : waiting_(asked) {}

  void add(Account account) { accounts_.push_back(std::move(account)); }
  void hold(uint16_t slot, const ipc::Frame& frame) {
    held_bytes_ += frame.body.size();
    held_.push_back({slot, frame.kind, std::string(frame.body)});
  }
  void answered(uint16_t slot) { waiting_.remove(slot); }  // Or dead.

  bool complete() const { return waiting_.empty(); }
  bool full() const { return held_bytes_ > kHeldBytesMax; }
  size_t missing() const { return waiting_.size(); }
  const std::vector<Account>& accounts() const { return accounts_; }
  const std::vector<Held>& held() const { return held_; }

 private:
  SlotSet waiting_;
  std::vector<Account> accounts_;
  std::vector<Held> held_;
  size_t held_bytes_ = 0;
};

}  // namespace beamgate::master
