#include "common/config/identity.h"

#include <algorithm>
#include <set>

#include "common/base/bytes.h"

namespace beamgate::config {
namespace {

std::string server_key(const Server& server) {
  std::vector<std::string> parts = server.names;
  for (const Listen& listen : server.listens) parts.push_back("@" + listen.address.text);
  std::sort(parts.begin(), parts.end());
  std::string key;
  for (const std::string& part : parts) key += part + '\n';
  return key;
}

const char* modifier(LocationMatch match) {
  switch (match) {
    case LocationMatch::Exact:
      return "= ";
    case LocationMatch::PrefixFinal:
      return "^~ ";
    case LocationMatch::Regex:
      return "~ ";
    case LocationMatch::RegexNoCase:
      return "~* ";
    case LocationMatch::Prefix:
    case LocationMatch::Named:  // "@" is part of its name.
      break;
  }
  return "";
}

// 0 is left free: a record that holds it has no location yet.
uint32_t free_id(const std::string& key, std::set<uint32_t>& taken) {
  std::string candidate = key;
  for (unsigned ordinal = 1;; ++ordinal) {
    const auto id = static_cast<uint32_t>(stable_hash(candidate));
    if (id != 0 && taken.insert(id).second) return id;
    candidate = key + '#' + std::to_string(ordinal);
  }
}

void assign(std::vector<Location>& locations, const std::string& outer, std::set<uint32_t>& taken) {
  for (Location& location : locations) {
    const std::string key = outer + modifier(location.match) + location.pattern + '\n';
    location.id = free_id(key, taken);
    for (Step& step : location.script) {
      if (step.location != nullptr) step.location->id = location.id;  // An "if" is the same place.
    }
    assign(location.locations, key, taken);
  }
}

}  // namespace

void assign_ids(Http& http) {
  std::set<uint32_t> taken;
  for (Server& server : http.servers) {
    const std::string key = server_key(server);
    server.fallback.id = free_id(key, taken);
    assign(server.locations, key, taken);
  }
}

}  // namespace beamgate::config
