// Settings: the configuration generations this worker still needs, newest last.
//
// Owner      One per worker.  A connection names its location by a stable id; the newest generation that has
//            that location serves it, so a reload changes its behaviour, and a location that a reload removed
//            keeps its last settings as long as connections use it.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/config/model.h"

namespace beamgate {

class Settings {
 public:
  using Generation = std::shared_ptr<const config::Config>;

  explicit Settings(Generation config) { use(std::move(config), {}); }

  const config::Config& current() const { return *generations_.back(); }
  const Generation& current_shared() const { return generations_.back(); }
  // publication_max, as far as the bus can carry it: what everybody who publishes goes by.
  uint64_t publication_bytes_max() const;

  // A new generation is in force; older ones stay if they alone have a location of `in_use`.
  void use(Generation config, const std::unordered_set<uint32_t>& in_use);

  // Null for an id that no generation has.
  const config::Location* location(uint32_t id) const;
  size_t generations() const { return generations_.size(); }

 private:
  std::vector<Generation> generations_;
  std::unordered_map<uint32_t, const config::Location*> locations_;
};

}  // namespace beamgate
