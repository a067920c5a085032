#include "common/base/segments.h"

#include <algorithm>

namespace beamgate {
namespace {

constexpr std::string_view kSeparators = ":./";

bool is_separator(char c) { return kSeparators.find(c) != kSeparators.npos; }

}  // namespace

bool has_wildcard(std::string_view name) {
  for (size_t star = name.find('*'); star != name.npos; star = name.find('*', star + 1)) {
    const bool begins = star == 0 || is_separator(name[star - 1]);
    const bool ends = star + 1 == name.size() || is_separator(name[star + 1]);
    if (begins && ends) return true;
  }
  return false;
}

void PatternSet::add(std::string_view pattern) { patterns_.emplace(pattern); }

void PatternSet::remove(std::string_view pattern) {
  if (const auto found = patterns_.find(pattern); found != patterns_.end()) patterns_.erase(found);
}

std::vector<std::string> PatternSet::matching(std::string_view name) const {
  std::vector<std::string> out;
  std::string begin;
  if (!patterns_.empty()) find(begin, name, out);
  return out;
}

// Among the patterns that begin with `begin`, which is given back as it was.
void PatternSet::find(std::string& begin, std::string_view rest, std::vector<std::string>& out) const {
  const size_t length = std::min(rest.find_first_of(kSeparators), rest.size());
  const std::string_view part = rest.substr(0, length);
  const size_t before = begin.size();
  const auto go_on_with = [&](std::string_view wanted) {
    begin += wanted;
    if (length == rest.size()) {
      if (patterns_.contains(begin)) out.push_back(begin);
    } else {
      begin += rest[length];
      const auto next = patterns_.lower_bound(begin);
      if (next != patterns_.end() && next->starts_with(begin)) find(begin, rest.substr(length + 1), out);
    }
    begin.resize(before);
  };
  go_on_with(part);
  if (!part.empty() && part != "*") go_on_with("*");
}

}  // namespace beamgate
