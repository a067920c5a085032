#include "worker/http2/flood_guard.h"

#include <algorithm>

namespace beamgate::http2 {
namespace {

struct Bucket {
  uint16_t burst;
  uint16_t per_second;
};

// In the order of Flood.  A page that is left may cancel as many streams as there may be, twice over; everything else
// is a handful a minute.
constexpr Bucket kBuckets[] = {
    {300, 30},    // Resets
    {40, 4},      // Settings
    {100, 10},    // Pings
    {200, 20},    // Empty
    {2000, 200},  // WindowUpdates
    {500, 50},    // Priorities
};
static_assert(std::size(kBuckets) == static_cast<size_t>(Flood::Continuations));

}  // namespace

metrics::Metric metric_of(Flood flood) {
  using metrics::Metric;
  constexpr Metric kMetrics[] = {Metric::Http2FloodsResets,        Metric::Http2FloodsSettings,
                                 Metric::Http2FloodsPings,         Metric::Http2FloodsEmpty,
                                 Metric::Http2FloodsWindowUpdates, Metric::Http2FloodsPriorities,
                                 Metric::Http2FloodsContinuations, Metric::Http2FloodsUnread};
  static_assert(std::size(kMetrics) == static_cast<size_t>(Flood::kCount));
  return kMetrics[static_cast<size_t>(flood)];
}

bool FloodGuard::allow(Flood flood, int64_t now_ms) {
  const int64_t now_s = now_ms / 1'000;
  if (now_s > leaked_s_) {
    const int64_t seconds = std::min<int64_t>(now_s - leaked_s_, 1'000);
    for (int i = 0; i < kBuckets; ++i) {
      const int64_t leaked = seconds * http2::kBuckets[i].per_second;
      levels_[i] = static_cast<uint16_t>(std::max<int64_t>(levels_[i] - leaked, 0));
    }
    leaked_s_ = now_s;
  }
  const auto index = static_cast<size_t>(flood);
  if (levels_[index] >= http2::kBuckets[index].burst) return false;
  ++levels_[index];
  return true;
}

void FloodGuard::sent_data() {
  uint16_t& level = levels_[static_cast<size_t>(Flood::WindowUpdates)];
  level = static_cast<uint16_t>(std::max(level - 2, 0));
}

}  // namespace beamgate::http2
