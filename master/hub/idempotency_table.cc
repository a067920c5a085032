#include "master/hub/idempotency_table.h"

namespace beamgate::master {
namespace {

void join(std::string_view channel, std::string_view key, std::string& out) {
  out.assign(channel);
  out += '\0';
  out += key;
}

}  // namespace

const IdempotencyTable::Receipt* IdempotencyTable::find(std::string_view channel, std::string_view key,
                                                        int64_t now_ms) {
  while (!order_.empty() && now_ms - entries_.find(*order_.front())->second.since_ms >= kKeepMs) {
    forget_oldest();
  }
  join(channel, key, scratch_);
  const auto found = entries_.find(scratch_);
  return found == entries_.end() ? nullptr : &found->second.receipt;
}

void IdempotencyTable::remember(std::string_view channel, std::string_view key, Receipt receipt,
                                int64_t now_ms) {
  join(channel, key, scratch_);
  adopt(scratch_, std::move(receipt), now_ms);
}

void IdempotencyTable::adopt(std::string_view key, Receipt receipt, int64_t since_ms) {
  if (entries_.size() >= kEntriesMax) forget_oldest();
  const auto added = entries_.emplace(std::string(key), Entry{std::move(receipt), since_ms});
  if (added.second) order_.push_back(&added.first->first);
}

void IdempotencyTable::forget_oldest() {
  const auto found = entries_.find(*order_.front());
  order_.pop_front();
  entries_.erase(found);
}

}  // namespace beamgate::master
