#include "worker/upstream/hash_ring.h"

#include <zlib.h>

#include <algorithm>

#include "common/base/bytes.h"

namespace beamgate::upstream {
namespace {

uint32_t update(uint32_t crc, std::string_view bytes) {
  return static_cast<uint32_t>(
      crc32(crc, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

// The hash that all points of a server begin with.
uint32_t base_of(std::string_view address) {
  if (address.starts_with("unix:")) return update(update(0, address.substr(5)), std::string_view("\0", 1));
  const size_t colon = address.rfind(':');
  const uint32_t host = update(update(0, address.substr(0, colon)), std::string_view("\0", 1));
  return colon == std::string_view::npos ? host : update(host, address.substr(colon + 1));
}

}  // namespace

void HashRing::build(const std::vector<Server>& servers) {
  points_.clear();
  uint64_t total = 0;
  for (const Server& server : servers) total += server.weight;
  const uint64_t divisor = 1 + total * kPointsPerWeight / kPointsMax;
  for (size_t i = 0; i < servers.size(); ++i) {
    const uint32_t base = base_of(servers[i].address);
    const uint64_t count = std::max<uint64_t>(1, servers[i].weight / divisor) * kPointsPerWeight;
    uint32_t previous = 0;
    for (uint64_t n = 0; n < count; ++n) {
      char bytes[4];
      store_le(bytes, previous);
      previous = update(base, {bytes, sizeof bytes});
      points_.push_back({previous, static_cast<uint32_t>(i)});
    }
  }
  // Of two servers at one place the first has it, whatever the sorting does.
  std::stable_sort(points_.begin(), points_.end(), [](const Point& a, const Point& b) { return a.hash < b.hash; });
  const auto last = std::unique(points_.begin(), points_.end(),
                                [](const Point& a, const Point& b) { return a.hash == b.hash; });
  points_.erase(last, points_.end());
}

size_t HashRing::find(uint32_t hash) const {
  const auto at = std::lower_bound(points_.begin(), points_.end(), hash,
                                   [](const Point& point, uint32_t wanted) { return point.hash < wanted; });
  return at == points_.end() ? 0 : static_cast<size_t>(at - points_.begin());
}

uint32_t key_hash(std::string_view key) { return update(0, key); }

}  // namespace beamgate::upstream
