// Flood guard: how much of what costs the server more than the client one connection may send.
//
// Each kind of frame has a bucket that leaks: `burst` of them at once, and then `per_second`.  Legitimate clients stay
// far below; one that doesn't is sent away with GOAWAY ENHANCE_YOUR_CALM.
//
// Owner    Session.
// Source   CVE-2019-9511 to 9518, CVE-2023-44487 (rapid reset), CVE-2024-28182 (CONTINUATION), CVE-2025-8671 (resets
//          that the server is made to send).
#pragma once

#include <cstdint>

#include "common/metrics/metrics.h"

namespace beamgate::http2 {

enum class Flood : uint8_t {
  Resets,         // Streams that were begun for nothing: reset by the client, or by us for its errors.
  Settings,
  Pings,
  Empty,          // DATA, HEADERS and CONTINUATION without content.
  WindowUpdates,  // Above those that the DATA we send give reason to.
  Priorities,
  Continuations,  // More in one head than nghttp2 allows; no bucket, as the next.
  Unread,         // Replies that it doesn't read; no bucket, see Session.
  kCount,
};

metrics::Metric metric_of(Flood flood);

class FloodGuard {
 public:
  // One more.  False: that is too many.
  [[nodiscard]] bool allow(Flood flood, int64_t now_ms);
  // A DATA frame was sent: it may be answered with a WINDOW_UPDATE for its stream and one for the connection.
  void sent_data();

 private:
  static constexpr int kBuckets = static_cast<int>(Flood::Continuations);

  uint16_t levels_[kBuckets] = {};
  int64_t leaked_s_ = 0;  // Up to this second.
};

}  // namespace beamgate::http2
