// Segments: names in parts, separated by : . or /, and patterns of them in which a part is *: any one part
// that isn't empty.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace beamgate {

// Some part of the name is "*".
bool has_wildcard(std::string_view name);

// Patterns, asked for those that a name matches: as many parts, with the same separators, and equal where the pattern's
// is not "*".  Looking costs what begins like the name, however many others there are.
class PatternSet {
 public:
  void add(std::string_view pattern);
  void remove(std::string_view pattern);
  template <typename Wanted>
  void remove_unless(Wanted wanted) {
    std::erase_if(patterns_, [&wanted](const std::string& pattern) { return !wanted(pattern); });
  }
  bool empty() const { return patterns_.empty(); }
  size_t size() const { return patterns_.size(); }
  std::vector<std::string> matching(std::string_view name) const;

 private:
  void find(std::string& begin, std::string_view rest, std::vector<std::string>& out) const;

  std::set<std::string, std::less<>> patterns_;
};

}  // namespace beamgate
