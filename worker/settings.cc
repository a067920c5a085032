#include "worker/settings.h"

#include <algorithm>

#include "common/ipc/messages.h"

namespace beamgate {
namespace {

using Index = std::unordered_map<uint32_t, const config::Location*>;

void add(const config::Location& location, Index& index) {
  index.emplace(location.id, &location);
  for (const config::Location& nested : location.locations) add(nested, index);
}

Index index_of(const config::Config& config) {
  Index index;
  for (const config::Server& server : config.http.servers) {
    add(server.fallback, index);
    for (const config::Location& location : server.locations) add(location, index);
  }
  return index;
}

}  // namespace

void Settings::use(Generation config, const std::unordered_set<uint32_t>& in_use) {
  locations_ = index_of(*config);
  std::vector<Generation> kept;
  for (auto older = generations_.rbegin(); older != generations_.rend(); ++older) {
    bool needed = false;
    for (const auto& [id, location] : index_of(**older)) {
      if (in_use.contains(id) && locations_.emplace(id, location).second) needed = true;
    }
    if (needed) kept.push_back(*older);
  }
  std::reverse(kept.begin(), kept.end());
  kept.push_back(std::move(config));
  generations_ = std::move(kept);
}

uint64_t Settings::publication_bytes_max() const {
  return std::min<uint64_t>(current().publication_bytes_max, ipc::kPublicationBytesMax);
}

const config::Location* Settings::location(uint32_t id) const {
  const auto found = locations_.find(id);
  return found == locations_.end() ? nullptr : found->second;
}

}  // namespace beamgate
