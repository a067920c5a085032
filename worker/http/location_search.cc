#include "worker/http/location_search.h"

#include "common/config/regex.h"

namespace beamgate::http {
namespace {

using config::Location;
using Kind = config::LocationMatch;
using CaptureList = std::vector<std::pair<std::string, std::string>>;

bool is_prefix(const Location& location) {
  return location.match == Kind::Prefix || location.match == Kind::PrefixFinal;
}

bool is_regex(const Location& location) {
  return location.match == Kind::Regex || location.match == Kind::RegexNoCase;
}

// "location /app/ { proxy_pass ...; }" asked for as "/app".
bool lacks_only_slash(const Location& location, std::string_view path) {
  const bool passed_on = location.action == config::Action::Proxy || location.action == config::Action::Fastcgi;
  return passed_on && location.pattern.size() == path.size() + 1 &&
         location.pattern.back() == '/' && location.pattern.starts_with(path);
}

// What was found, and whether nothing else may come before it.
struct Found {
  LocationMatch match;
  bool final = false;
};

Found search(const std::vector<Location>& locations, std::string_view path, CaptureList& captures);

Found search_exact(const std::vector<Location>& locations, std::string_view path) {
  const Location* slash = nullptr;
  for (const Location& location : locations) {
    if (is_regex(location)) continue;
    if (location.match == Kind::Exact && location.pattern == path) return {{&location, 0}, true};
    if (lacks_only_slash(location, path)) slash = &location;
    // An ordinary location of just this name is meant before the redirect to the one with a slash.
    if (is_prefix(location) && location.pattern == path) return {};
  }
  return slash == nullptr ? Found{} : Found{{slash, 301}, true};
}

const Location* longest_prefix(const std::vector<Location>& locations, std::string_view path) {
  const Location* best = nullptr;
  for (const Location& location : locations) {
    if (!is_prefix(location) || !path.starts_with(location.pattern)) continue;
    if (best == nullptr || location.pattern.size() > best->pattern.size()) best = &location;
  }
  return best;
}

// The first regex that matches, or a location nested in it.
Found search_regexes(const std::vector<Location>& locations, std::string_view path, CaptureList& captures) {
  for (const Location& location : locations) {
    if (!is_regex(location)) continue;
    config::Captures groups;
    const Result<bool> matched = location.regex->match(path, &groups);
    if (!matched.ok()) return {{nullptr, 500}, true};
    if (!matched.value()) continue;
    append_captures(*location.regex, groups, captures);
    const Found nested = search(location.locations, path, captures);
    if (nested.match.location != nullptr || nested.match.status != 0) return {nested.match, true};
    return {{&location, 0}, true};
  }
  return {};
}

Found search(const std::vector<Location>& locations, std::string_view path, CaptureList& captures) {
  if (const Found exact = search_exact(locations, path); exact.final) return exact;
  Found best;
  bool regexes_allowed = true;
  if (const Location* prefix = longest_prefix(locations, path)) {
    best.match.location = prefix;
    regexes_allowed = prefix->match != Kind::PrefixFinal;
    const Found nested = search(prefix->locations, path, captures);
    if (nested.final) return nested;
    if (nested.match.location != nullptr) best = nested;
  }
  if (regexes_allowed) {
    if (const Found regex = search_regexes(locations, path, captures); regex.final) return regex;
  }
  return best;
}

}  // namespace

LocationMatch find_location(const std::vector<Location>& locations, std::string_view path,
                            CaptureList& captures) {
  return search(locations, path, captures).match;
}

void append_captures(const config::Regex& regex, const config::Captures& found, CaptureList& captures) {
  constexpr size_t kNumberedMax = 9;
  for (size_t group = 1; group <= kNumberedMax && group < found.size(); ++group) {
    captures.emplace_back(std::to_string(group), found.at(group));
  }
  for (const config::Regex::Name& name : regex.names())
    captures.emplace_back(name.name, found.at(name.group));
}

}  // namespace beamgate::http
