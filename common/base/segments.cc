#include "common/base/segments.h"

namespace beamgate {
namespace {

bool is_separator(char c) { return c == ':' || c == '.' || c == '/'; }

}  // namespace

bool has_wildcard(std::string_view name) {
  for (size_t star = name.find('*'); star != name.npos; star = name.find('*', star + 1)) {
    const bool begins = star == 0 || is_separator(name[star - 1]);
    const bool ends = star + 1 == name.size() || is_separator(name[star + 1]);
    if (begins && ends) return true;
  }
  return false;
}

bool matches_segments(std::string_view pattern, std::string_view name) {
  const auto length = [](std::string_view text) {
    size_t at = 0;
    while (at < text.size() && !is_separator(text[at])) ++at;
    return at;
  };
  for (;;) {
    const size_t wanted = length(pattern);
    const size_t found = length(name);
    const std::string_view part = pattern.substr(0, wanted);
    if (part == "*" ? found == 0 : part != name.substr(0, found)) return false;
    pattern.remove_prefix(wanted);
    name.remove_prefix(found);
    if (pattern.empty() || name.empty()) return pattern.empty() && name.empty();
    if (pattern.front() != name.front()) return false;
    pattern.remove_prefix(1);
    name.remove_prefix(1);
  }
}

}  // namespace beamgate
