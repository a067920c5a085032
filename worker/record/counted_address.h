// What limits for each address count by: an IPv4 address, mapped into IPv6 or not, is one client's; of IPv6 a client
// owns a /64, within which counting single addresses would be no limit.
#pragma once

#include <sys/socket.h>

#include <cstring>
#include <string_view>

#include "worker/record/record.h"

namespace beamgate::record {

// Views the record; empty for a Unix socket.
inline std::string_view counted_address(const Record& record) {
  constexpr unsigned char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const std::string_view whole(reinterpret_cast<const char*>(record.peer_address), sizeof record.peer_address);
  if (record.peer_family == AF_INET) return whole.substr(0, 4);
  if (record.peer_family != AF_INET6) return {};
  return memcmp(record.peer_address, kMapped, sizeof kMapped) == 0 ? whole.substr(sizeof kMapped) : whole.substr(0, 8);
}

}  // namespace beamgate::record
