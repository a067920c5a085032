#include "common/ipc/rate_table.h"

#include <algorithm>

#include "common/base/bytes.h"

namespace beamgate::ipc {
namespace {

constexpr uint32_t kOneRequest = 1'000;

}  // namespace

RateTable::Window RateTable::window(std::string_view name, uint64_t bytes) {
  const uint64_t places = std::clamp<uint64_t>(bytes / kEntryBytes, 1, kEntries);
  return {static_cast<uint32_t>(stable_hash(name) % kEntries), static_cast<uint32_t>(places)};
}

uint32_t RateTable::place(const Window& window, uint64_t key, uint32_t probe) {
  return static_cast<uint32_t>((window.start + (key + probe) % window.places) % kEntries);
}

uint64_t RateTable::pack(uint64_t key, uint32_t excess_milli, int64_t now_ms) {
  const uint64_t check = key >> (64 - kCheckBits) << (64 - kCheckBits);
  const uint64_t time = static_cast<uint64_t>(now_ms) & ((uint64_t{1} << kTimeBits) - 1);
  return check | uint64_t{excess_milli} << kTimeBits | time;
}

// Another worker's clock may be read a moment before ours was: that is no time, not a whole round of it.
int64_t RateTable::elapsed_ms(uint64_t state, int64_t now_ms) {
  constexpr uint64_t kRound = uint64_t{1} << kTimeBits;
  constexpr uint64_t kAheadMax = 60'000;
  const uint64_t elapsed = (static_cast<uint64_t>(now_ms) - state) & (kRound - 1);
  return elapsed > kRound - kAheadMax ? 0 : static_cast<int64_t>(elapsed);
}

RateTable::Verdict RateTable::weigh(uint64_t state, uint64_t key, const Rate& rate, int64_t now_ms) {
  if (state == 0 || (state ^ key) >> (64 - kCheckBits) != 0) return {true, 0};  // Another key's, or none yet.
  const auto excess = static_cast<int64_t>((state >> kTimeBits) & ((uint64_t{1} << kExcessBits) - 1));
  const int64_t drained = static_cast<int64_t>(rate.per_second_milli) * elapsed_ms(state, now_ms) / 1'000;
  const int64_t now = std::max<int64_t>(excess - drained + kOneRequest, 0);
  return {now <= rate.burst_milli, static_cast<uint32_t>(now)};
}

const RateTable::Entry* RateTable::find(const Window& window, uint64_t key) const {
  for (uint32_t probe = 0; probe < std::min(kProbesMax, window.places); ++probe) {
    const Entry& entry = entries_[place(window, key, probe)];
    if (entry.key.load() == key) return &entry;
  }
  return nullptr;
}

// The key's entry, a free one, or that of the key that came longest ago; null when somebody else was faster.
RateTable::Entry* RateTable::claim(const Window& window, uint64_t key, int64_t now_ms) {
  Entry* oldest = nullptr;
  uint64_t displaced = 0;
  int64_t longest = -1;
  for (uint32_t probe = 0; probe < std::min(kProbesMax, window.places); ++probe) {
    Entry& entry = entries_[place(window, key, probe)];
    uint64_t seen = entry.key.load();
    if (seen == key || (seen == 0 && entry.key.compare_exchange_strong(seen, key))) return &entry;
    const int64_t elapsed = elapsed_ms(entry.state.load(), now_ms);
    if (elapsed <= longest) continue;
    longest = elapsed;
    oldest = &entry;
    displaced = seen;
  }
  return oldest->key.compare_exchange_strong(displaced, key) ? oldest : nullptr;
}

RateTable::Verdict RateTable::take(const Window& window, uint64_t key, const Rate& rate, int64_t now_ms) {
  Verdict verdict{true, 0};
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    Entry* entry = claim(window, key, now_ms);
    if (entry == nullptr) continue;
    uint64_t state = entry->state.load();
    verdict = weigh(state, key, rate, now_ms);
    if (!verdict.admitted) return verdict;
    if (entry->state.compare_exchange_strong(state, pack(key, verdict.excess_milli, now_ms))) return verdict;
  }
  return verdict;  // So many others count the same key that one more makes no difference.
}

RateTable::Verdict RateTable::look(const Window& window, uint64_t key, const Rate& rate, int64_t now_ms) const {
  const Entry* entry = find(window, key);
  return entry == nullptr ? Verdict{true, 0} : weigh(entry->state.load(), key, rate, now_ms);
}

}  // namespace beamgate::ipc
