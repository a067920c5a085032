// What limits for each address count by: an IPv4 address, mapped into IPv6 or not, is one client's; of IPv6 a client
// owns a /64, within which counting single addresses would be no limit.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <string_view>

#include "worker/record/record.h"

namespace beamgate::record {

// ::ffff:a.b.c.d, whose last four bytes are the IPv4 address.
inline bool is_mapped_ipv4(const uint8_t (&ipv6)[16]) {
  constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return memcmp(ipv6, kMapped, sizeof kMapped) == 0;
}

// Views the record; empty for a Unix socket.
inline std::string_view counted_address(const Record& record) {
  const std::string_view whole(reinterpret_cast<const char*>(record.peer_address), sizeof record.peer_address);
  if (record.peer_family == AF_INET) return whole.substr(0, 4);
  if (record.peer_family != AF_INET6) return {};
  return is_mapped_ipv4(record.peer_address) ? whole.substr(12) : whole.substr(0, 8);
}

}  // namespace beamgate::record
