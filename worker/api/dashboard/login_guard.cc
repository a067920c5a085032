#include "worker/api/dashboard/login_guard.h"

#include <sys/socket.h>

#include <algorithm>
#include <string>

#include "common/base/clock.h"
#include "common/base/keyed_hash.h"
#include "common/ipc/rate_table.h"
#include "worker/http/client_address.h"

namespace beamgate::api::dashboard {
namespace {

constexpr uint64_t kZoneBytes = 1 << 20;
constexpr ipc::RateTable::Rate kRate{.per_second_milli = 1'000 / LoginGuard::kSecondsForOne,
                                     .burst_milli = (LoginGuard::kFailuresAtOnce - 1) * 1'000};
constexpr size_t kIpv6PrefixBytes = 8;

ipc::RateTable::Window window() { return ipc::RateTable::window("dashboard_login", kZoneBytes); }

}  // namespace

uint64_t LoginGuard::key_of(const http::Request& request) const {
  std::string key = "dashboard_login";
  http::ClientAddress address;
  if (http::ClientAddress::parse(request.remote_address, address)) {
    const size_t bytes = address.family == AF_INET6 ? kIpv6PrefixBytes : 4;
    key += static_cast<char>(address.family);
    key.append(reinterpret_cast<const char*>(address.bytes), bytes);
  }
  return std::max<uint64_t>(KeyedHash(context_.address_seed)(key), 1);
}

bool LoginGuard::admits(const http::Request& request) const {
  return context_.rates == nullptr || context_.rates->look(window(), key_of(request), kRate, monotonic_ms()).admitted;
}

void LoginGuard::failed(const http::Request& request) {
  if (context_.rates != nullptr) context_.rates->take(window(), key_of(request), kRate, monotonic_ms());
}

}  // namespace beamgate::api::dashboard
