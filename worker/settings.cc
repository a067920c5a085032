#include "worker/settings.h"

namespace beamgate {
namespace {

void index(const config::Location& location, std::unordered_map<uint32_t, const config::Location*>& out) {
  out[location.id] = &location;
  for (const config::Location& nested : location.locations) index(nested, out);
}

}  // namespace

void Settings::use(std::shared_ptr<const config::Config> config) {
  for (const config::Server& server : config->http.servers) {
    index(server.fallback, locations_);
    for (const config::Location& location : server.locations) index(location, locations_);
  }
  generations_.push_back(std::move(config));
}

const config::Location* Settings::location(uint32_t id) const {
  const auto found = locations_.find(id);
  return found == locations_.end() ? nullptr : found->second;
}

}  // namespace beamgate
