#include "master/bus/call_table.h"

#include "common/base/assert.h"

namespace beamgate::master {

Result<uint64_t> CallTable::open(uint16_t asker, uint64_t ticket, const SlotSet& asked, int64_t now_ms) {
  BG_ASSERT(!asked.empty());
  if (calls_.size() >= kCallsMax) return Error{Code::LimitReached, 0, "too many calls on the bus"};
  calls_.emplace(next_call_, Call{asker, ticket, asked, now_ms});
  return next_call_++;
}

void CallTable::adopt(uint64_t number, uint16_t asker, uint64_t ticket, const SlotSet& waiting, int64_t since_ms) {
  calls_.emplace(number, Call{asker, ticket, waiting, since_ms});
}

CallTable::Due CallTable::settle(Call& call, uint16_t slot) {
  call.waiting.remove(slot);
  return {call.asker, call.ticket, static_cast<uint16_t>(call.waiting.size())};
}

bool CallTable::answer(uint64_t number, uint16_t from_slot, Due& due) {
  const auto found = calls_.find(number);
  if (found == calls_.end() || !found->second.waiting.contains(from_slot)) return false;
  due = settle(found->second, from_slot);
  if (due.remaining == 0) calls_.erase(found);
  return true;
}

void CallTable::drop_slot(uint16_t slot, const OnDue& on_unanswered) {
  for (auto next = calls_.begin(); next != calls_.end();) {
    Call& call = next->second;
    if (call.asker == slot) {
      next = calls_.erase(next);
      continue;
    }
    if (call.waiting.contains(slot)) on_unanswered(settle(call, slot), slot);
    next = call.waiting.empty() ? calls_.erase(next) : std::next(next);
  }
}

void CallTable::expire(int64_t now_ms, const OnDue& on_unanswered) {
  while (!calls_.empty() && now_ms - calls_.begin()->second.since_ms >= kExpireMs) {
    Call& call = calls_.begin()->second;
    const SlotSet silent = call.waiting;
    silent.for_each([&](uint16_t slot) { on_unanswered(settle(call, slot), slot); });
    calls_.erase(calls_.begin());
  }
}

}  // namespace beamgate::master
