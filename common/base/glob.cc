#include "common/base/glob.h"

namespace beamgate {

bool matches(std::string_view pattern, std::string_view name) {
  constexpr size_t kNone = std::string_view::npos;
  size_t p = 0;
  size_t n = 0;
  // Where to go on when the rest doesn't fit: the last star takes one byte more.  Earlier stars need no
  // second try, since the last one can take whatever they could have taken.
  size_t star = kNone;
  size_t star_name = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_name = n;
      continue;
    }
    if (p < pattern.size()) {
      const bool escaped = pattern[p] == '\\' && p + 1 < pattern.size();
      const char want = escaped ? pattern[p + 1] : pattern[p];
      if ((!escaped && want == '?') || want == name[n]) {
        p += escaped ? 2 : 1;
        ++n;
        continue;
      }
    }
    if (star == kNone) return false;
    p = star + 1;
    n = ++star_name;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string literal_prefix(std::string_view pattern) {
  std::string prefix;
  for (size_t p = 0; p < pattern.size(); ++p) {
    if (pattern[p] == '*' || pattern[p] == '?') break;
    if (pattern[p] == '\\' && p + 1 < pattern.size()) ++p;
    prefix += pattern[p];
  }
  return prefix;
}

}  // namespace beamgate
