// LoginGuard: how often one client may be wrong about the dashboard's token.
//
// Owner      Dashboard.
// Thread     Worker loop thread only; the count is shared with every worker (ipc::RateTable).
// Limits     kFailuresAtOnce, and one more every kSecondsForOne; then nothing is compared any more.  IPv6 clients are
//            counted by their /64, which is what one of them has.
#pragma once

#include <cstdint>

#include "worker/context.h"
#include "worker/http/exchange.h"

namespace beamgate::api::dashboard {

class LoginGuard {
 public:
  static constexpr uint32_t kFailuresAtOnce = 5;
  static constexpr uint32_t kSecondsForOne = 10;

  explicit LoginGuard(Context& context) : context_(context) {}

  bool admits(const http::Request& request) const;
  void failed(const http::Request& request);

 private:
  uint64_t key_of(const http::Request& request) const;

  Context& context_;
};

}  // namespace beamgate::api::dashboard
