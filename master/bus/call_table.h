// CallTable: questions between workers that wait for answers.
//
// Owner      Bus.
// Lifetime   A call lives until every worker asked has answered or has gone, the asker has gone, or kExpireMs
//            have passed.
// Limits     kCallsMax calls; open() then says so, and the asker is told that nobody answered.
// Thread     The master's only thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "common/base/result.h"
#include "master/hub/slot_set.h"

namespace beamgate::master {

class CallTable {
 public:
  static constexpr size_t kCallsMax = 65'536;
  static constexpr int64_t kExpireMs = 60'000;

  // One answer that is due to the asker.
  struct Due {
    uint16_t asker = 0;      // Slot.
    uint64_t ticket = 0;
    uint16_t remaining = 0;  // Answers still to come.
  };
  using OnDue = std::function<void(const Due&, uint16_t from_slot)>;

  // The call's number; LimitReached when there is no room.  REQUIRES: !asked.empty().
  Result<uint64_t> open(uint16_t asker, uint64_t ticket, const SlotSet& asked, int64_t now_ms);

  // An answer came.  False: nobody waits for it (the call ended, or this worker was not asked).
  bool answer(uint64_t call, uint16_t from_slot, Due& due);

  // A worker has gone: its own calls end, and the others learn that it won't answer.
  void drop_slot(uint16_t slot, const OnDue& on_unanswered);
  // Ends the calls that wait for too long.
  void expire(int64_t now_ms, const OnDue& on_unanswered);

  size_t size() const { return calls_.size(); }

  // For a handover: what another image left.  REQUIRES: numbers grow, all below next_call.
  template <typename Visitor>  // (number, asker, ticket, waiting, since_ms)
  void for_each(Visitor visit) const {
    for (const auto& [number, call] : calls_) visit(number, call.asker, call.ticket, call.waiting, call.since_ms);
  }
  void adopt(uint64_t number, uint16_t asker, uint64_t ticket, const SlotSet& waiting, int64_t since_ms);
  uint64_t next_call() const { return next_call_; }
  void set_next_call(uint64_t number) { next_call_ = number; }

 private:
  struct Call {
    uint16_t asker = 0;
    uint64_t ticket = 0;
    SlotSet waiting;
    int64_t since_ms = 0;
  };
  using Calls = std::map<uint64_t, Call>;  // Numbers grow, so the oldest comes first.

  static Due settle(Call& call, uint16_t slot);

  Calls calls_;
  uint64_t next_call_ = 1;
};

}  // namespace beamgate::master
