// Pool: every upstream this worker knows, with its servers and idle connections.
//
// Owner      ProxyHandler.
// Thread     Worker loop thread only.
// Limits     One Group per upstream name that was ever configured; see group.h for connections.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "common/config/model.h"
#include "worker/upstream/group.h"

namespace beamgate::upstream {

class Pool {
 public:
  // Follows the upstream's configuration as given.  The Group stays where it is.
  Group& group(const std::shared_ptr<const config::Upstream>& upstream) {
    Group& found = groups_[upstream->name];
    found.follow(upstream);
    return found;
  }

  // In the order of their names.
  const std::map<std::string, Group>& groups() const { return groups_; }

 private:
  std::map<std::string, Group> groups_;
};

}  // namespace beamgate::upstream
