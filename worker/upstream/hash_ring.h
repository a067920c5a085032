// Hash ring: servers at many points of a circle of 32-bit hashes; a key belongs to the next point.
//
// Owner      The Group of an upstream with "hash ... consistent"; built anew when its servers change.
// Source     Ketama as Cache::Memcached::Fast and nginx arrange it: 160 points for each unit of weight, each
//            the CRC-32 of host, NUL, port and the point before it.
// Limits     kPointsMax points; above, all weights are divided so that they fit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace beamgate::upstream {

class HashRing {
 public:
  static constexpr uint32_t kPointsPerWeight = 160;
  static constexpr size_t kPointsMax = 1 << 20;

  struct Server {
    std::string_view address;  // "host:port" or "unix:path".
    uint32_t weight = 1;
  };

  void build(const std::vector<Server>& servers);
  bool empty() const { return points_.empty(); }
  size_t size() const { return points_.size(); }

  // The point that a hash belongs to.  REQUIRES: !empty().
  size_t find(uint32_t hash) const;
  // The server of a point, counted on around the circle: its index in what was built from.
  size_t server_at(size_t point) const { return points_[point % points_.size()].server; }

 private:
  struct Point {
    uint32_t hash = 0;
    uint32_t server = 0;
  };

  std::vector<Point> points_;
};

// CRC-32, as zlib counts it: what keys are placed by.
uint32_t key_hash(std::string_view key);

}  // namespace beamgate::upstream
