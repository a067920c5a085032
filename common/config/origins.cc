#include "common/config/origins.h"

#include "common/base/bytes.h"

namespace beamgate::config {
namespace {

// Browsers send "null" for pages without an origin.
bool is_origin(std::string_view text) {
  if (text == "null") return true;
  const size_t scheme = text.find("://");
  if (scheme == std::string_view::npos || scheme == 0) return false;
  const std::string_view host = text.substr(scheme + 3);
  if (host.empty() || host.find_first_of("/?#@ ") != std::string_view::npos) return false;
  const size_t star = host.find('*');
  return star == std::string_view::npos || (star == 0 && host.starts_with("*.") && host.size() > 2 &&
                                            host.find('*', 1) == std::string_view::npos);
}

}  // namespace

void read_origins(Setting& setting, std::vector<std::string>& origins) {
  origins.clear();
  if (setting.count() == 1 && setting.arg() == "any") return;
  for (size_t i = 0; i < setting.count(); ++i) {
    if (!is_origin(setting.arg(i))) {
      setting.fail(
          i, "expected scheme://host[:port], the host with \"*.\" before it for subdomains, or \"null\"");
    } else {
      origins.push_back(to_lower(setting.arg(i)));
    }
  }
}

}  // namespace beamgate::config
