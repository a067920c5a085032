// Spread deadlines: when the connections of a layer that ends are due, so that not all of their clients come back at once.
#pragma once

#include <cstdint>

#include "worker/net/connections.h"

namespace beamgate::net {

// Each connection that is `wanted` (Record& -> bool) gets its deadline, evenly over `over_ms`, which begin in `after_ms`.
template <typename Wanted>
void spread_deadlines(Connections& connections, Wanted wanted, int64_t after_ms, int64_t over_ms) {
  const int64_t begin_ms = connections.now_ms() + after_ms;
  int64_t total = 0;
  connections.for_each([&](record::Record& record) { total += wanted(record); });
  int64_t index = 0;
  connections.for_each([&](record::Record& record) {
    if (wanted(record)) connections.set_deadline(record, begin_ms + over_ms * index++ / total);
  });
}

}  // namespace beamgate::net
