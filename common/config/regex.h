// Regex: a compiled PCRE2 pattern, for locations and server names.
//
// Owner      Immutable after compile(); shared by the configuration generations that hold it.
// Thread     match() may run in any thread; it keeps no state in the Regex.
// Limits     kMatchLimit steps and kHeapKibMax of backtracking per match: a pattern that explodes on a
// hostile
//            subject ends with LimitReached instead of holding the loop.
// Errors     compile() says what is wrong and at which byte.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"

struct pcre2_real_code_8;
struct pcre2_real_match_context_8;

namespace beamgate::config {

class Regex;

// What the groups of the last match hold; views into its subject, that must outlive it.
class Captures {
 public:
  size_t size() const { return groups_.size(); }

  // Group n, 0 being the whole match; empty when it took no part.
  std::string_view at(size_t n) const { return n < groups_.size() ? groups_[n] : std::string_view(); }

  // The group of this name, or "1" to "9"; false when the pattern has none.
  bool find(std::string_view name, std::string_view& out) const;

 private:
  friend class Regex;
  const Regex* regex_ = nullptr;
  std::vector<std::string_view> groups_;
};

class Regex {
 public:
  static constexpr uint32_t kMatchLimit = 100'000;
  static constexpr uint32_t kHeapKibMax = 1'024;
  static constexpr size_t kPatternBytesMax = 4'096;

  struct CompileError {
    std::string text;
    size_t offset = 0;
  };
  struct Name {
    std::string name;
    uint32_t group = 0;
  };

  // Null when the pattern is wrong; error then says why.
  static std::shared_ptr<const Regex> compile(std::string_view pattern, bool ignore_case,
                                              CompileError& error);

  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  // Finds the pattern anywhere in the subject.  LimitReached: the search was given up, nothing is known.
  Result<bool> match(std::string_view subject, Captures* captures = nullptr) const;

  const std::string& pattern() const { return pattern_; }
  const std::vector<Name>& names() const { return names_; }
  uint32_t group_count() const { return group_count_; }  // Group 0 left out.

 private:
  Regex() = default;
  void read_names();

  std::string pattern_;
  uint32_t group_count_ = 0;
  pcre2_real_code_8* code_ = nullptr;
  pcre2_real_match_context_8* context_ = nullptr;
  std::vector<Name> names_;
};

}  // namespace beamgate::config
