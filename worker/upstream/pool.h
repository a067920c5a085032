// Pool: every upstream this worker knows, with its servers and idle connections.
//
// Owner      ProxyHandler.
// Thread     Worker loop thread only.
// Limits     One Group per upstream name that was ever configured; see group.h for connections.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "common/config/model.h"
#include "worker/upstream/group.h"

namespace beamgate::upstream {

class Pool {
 public:
  // Follows the upstream's configuration as given.
  Group& group(const std::shared_ptr<const config::Upstream>& upstream) {
    Group& found = groups_[upstream->name];
    found.follow(upstream);
    return found;
  }

 private:
  std::unordered_map<std::string, Group> groups_;
};

}  // namespace beamgate::upstream
