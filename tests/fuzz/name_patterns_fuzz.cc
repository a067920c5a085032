// Name patterns: globs and patterns of segments match what their definition says.  Input: the pattern, LF, the name.
#include <vector>

#include "common/base/assert.h"
#include "common/base/glob.h"
#include "common/base/segments.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"

namespace beamgate::fuzz {
namespace {

constexpr size_t kBytesMax = 200;

// can[n]: the pattern so far matches the first n bytes of the name.
bool matches_by_table(std::string_view pattern, std::string_view name) {
  std::vector<bool> can(name.size() + 1);
  can[0] = true;
  for (size_t p = 0; p < pattern.size(); ++p) {
    std::vector<bool> next(can.size());
    const bool escaped = pattern[p] == '\\' && p + 1 < pattern.size();
    if (escaped) ++p;
    for (size_t n = 0; n < can.size(); ++n) {
      if (!escaped && pattern[p] == '*') {
        next[n] = can[n] || (n > 0 && next[n - 1]);
      } else {
        next[n] = n > 0 && can[n - 1] && ((!escaped && pattern[p] == '?') || pattern[p] == name[n - 1]);
      }
    }
    can = next;
  }
  return can.back();
}

struct Parts {
  std::vector<std::string_view> parts;
  std::string separators;
};

Parts split(std::string_view name) {
  Parts out;
  size_t begin = 0;
  for (size_t at = 0; at <= name.size(); ++at) {
    if (at < name.size() && name[at] != ':' && name[at] != '.' && name[at] != '/') continue;
    out.parts.push_back(name.substr(begin, at - begin));
    if (at < name.size()) out.separators += name[at];
    begin = at + 1;
  }
  return out;
}

}  // namespace

FUZZ_TARGET(name_patterns) {
  if (bytes.size() > kBytesMax) return;
  Input input(bytes);
  const std::string_view pattern = input.line(), name = input.rest();
  BG_ASSERT(matches(pattern, name) == matches_by_table(pattern, name));
  if (matches(pattern, name)) BG_ASSERT(name.starts_with(literal_prefix(pattern)));

  const Parts wanted = split(pattern), given = split(name);
  bool same = wanted.separators == given.separators, wild = false;
  for (size_t i = 0; i < wanted.parts.size(); ++i) {
    wild = wild || wanted.parts[i] == "*";
    same = same && (wanted.parts[i] == "*" ? !given.parts[i].empty() : wanted.parts[i] == given.parts[i]);
  }
  BG_ASSERT(has_wildcard(pattern) == wild);
  PatternSet patterns;
  patterns.add(pattern);
  BG_ASSERT(patterns.matching(name).size() == (same ? 1u : 0u));
}

}  // namespace beamgate::fuzz
