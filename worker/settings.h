// Settings: the configuration generations this worker still needs, newest first.
//
// Owner      One per worker.  A connection names its location by a stable id; the newest generation that has
//            that location serves it, so a reload changes its behaviour, and a location that a reload removed
//            keeps its last settings while connections use it.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "common/config/model.h"

namespace beamgate {

class Settings {
 public:
  explicit Settings(std::shared_ptr<const config::Config> config) { use(std::move(config)); }

  const config::Config& current() const { return *generations_.back(); }
  const std::shared_ptr<const config::Config>& current_shared() const { return generations_.back(); }
  void use(std::shared_ptr<const config::Config> config);

  // Null for an id that no generation knows.
  const config::Location* location(uint32_t id) const;

 private:
  std::vector<std::shared_ptr<const config::Config>> generations_;
  std::unordered_map<uint32_t, const config::Location*> locations_;
};

}  // namespace beamgate
