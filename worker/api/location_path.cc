#include "worker/api/location_path.h"

#include <algorithm>

namespace beamgate::api {

std::string_view path_below_location(const http::Request& request) {
  std::string_view path = request.path;
  const config::Location& location = *request.location;
  const bool regex =
      location.match == config::LocationMatch::Regex || location.match == config::LocationMatch::RegexNoCase;
  if (!regex) {
    path.remove_prefix(std::min(path.size(), location.pattern.size()));
  } else {
    for (const auto& [name, value] : request.captures) {
      if (name != "1") continue;
      const size_t at = path.find(value);
      if (at != std::string_view::npos) path.remove_prefix(at + value.size());
    }
  }
  if (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

}  // namespace beamgate::api
