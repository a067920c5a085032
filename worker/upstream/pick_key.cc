#include "worker/upstream/pick_key.h"

#include <arpa/inet.h>

#include <string>

#include "worker/upstream/hash_ring.h"

namespace beamgate::upstream {

uint32_t address_key(std::string_view address) {
  constexpr size_t kIpv4Bytes = 3;
  const std::string text(address);
  char bytes[sizeof(in6_addr)];
  if (inet_pton(AF_INET, text.c_str(), bytes) == 1) return key_hash({bytes, kIpv4Bytes});
  if (inet_pton(AF_INET6, text.c_str(), bytes) == 1) return key_hash({bytes, sizeof bytes});
  return key_hash({});  // "unix:"
}

uint32_t pick_key(const config::Balancing& balancing, const http::Request& request, const record::Record& record) {
  if (balancing.method == config::Balancing::Method::IpHash) return address_key(request.remote_address);
  if (balancing.method != config::Balancing::Method::Hash) return 0;
  std::string key;
  http::expand(balancing.key, request, record, key);
  return key_hash(key);
}

}  // namespace beamgate::upstream
