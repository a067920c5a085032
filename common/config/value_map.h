// Value map: a "map" block, which makes a variable out of another text.
//
// Source     nginx's map: an exact value (without regard to case), then with "hostnames" the longest "*.x" and the
//            longest "x.*", then the first regular expression as written, then the default.
// Owner      Immutable once loaded; shared by the configuration's users.
// Difference nginx keeps the first value for the whole request; here it is looked up at each use, as by its "volatile".
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/config/regex.h"
#include "common/config/template.h"

namespace beamgate::config {

class ValueMap {
 public:
  enum class Added : uint8_t { Yes, Duplicate };

  std::string name;  // Of the variable, without "$".
  Template source;
  Template fallback;  // "default"; empty when none was given.
  bool hostnames = false;

  Added add(std::string_view key, Template value);
  void add(std::shared_ptr<const Regex> regex, Template value);

  // Never null; where a regular expression has decided, `captures` are its groups.
  const Template& find(std::string_view text, Captures& captures) const;

  // All values, in no order that matters; for checks.
  std::vector<const Template*> values() const;

 private:
  std::unordered_map<std::string, Template> exact_;  // Keys in lower case.
  std::unordered_map<std::string, Template> heads_;  // "*.x" by "x".
  std::unordered_map<std::string, Template> tails_;  // "x.*" by "x".
  std::vector<std::pair<std::shared_ptr<const Regex>, Template>> regexes_;
};

}  // namespace beamgate::config
