#define PCRE2_CODE_UNIT_WIDTH 8
#include "common/config/regex.h"

#include <pcre2.h>

#include "common/base/assert.h"

namespace beamgate::config {
namespace {

struct FreeMatchData {
  void operator()(pcre2_match_data* data) const noexcept { pcre2_match_data_free(data); }
};

// PCRE2 takes no null pointer, not even for an empty text.
PCRE2_SPTR units(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data() == nullptr ? "" : text.data());
}

// Views of all groups; a group that took no part has no offsets.
void read_groups(pcre2_match_data* data, std::string_view subject, std::vector<std::string_view>& groups) {
  const uint32_t count = pcre2_get_ovector_count(data);
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data);
  groups.assign(count, {});
  for (uint32_t i = 0; i < count; ++i) {
    const PCRE2_SIZE begin = offsets[2 * i];
    const PCRE2_SIZE end = offsets[2 * i + 1];
    // \K in a lookahead may put the begin behind the end.
    if (begin == PCRE2_UNSET || end < begin) continue;
    groups[i] = subject.substr(begin, end - begin);
  }
}

}  // namespace

bool Captures::find(std::string_view name, std::string_view& out) const {
  if (regex_ == nullptr) return false;
  if (name.size() == 1 && name[0] >= '1' && name[0] <= '9') {
    const auto group = static_cast<size_t>(name[0] - '0');
    out = at(group);
    return group < groups_.size();
  }
  for (const Regex::Name& entry : regex_->names()) {
    if (entry.name != name) continue;
    out = at(entry.group);
    return true;
  }
  return false;
}

std::shared_ptr<const Regex> Regex::compile(std::string_view pattern, bool ignore_case, CompileError& error) {
  if (pattern.size() > kPatternBytesMax) {
    error = {"the pattern is too long", kPatternBytesMax};
    return nullptr;
  }
  uint32_t options = PCRE2_NEVER_BACKSLASH_C;
  if (ignore_case) options |= PCRE2_CASELESS;
  int code = 0;
  PCRE2_SIZE offset = 0;
  std::shared_ptr<Regex> regex(new Regex());
  regex->pattern_ = pattern;
  regex->code_ = pcre2_compile(units(pattern), pattern.size(), options, &code, &offset, nullptr);
  if (regex->code_ == nullptr) {
    PCRE2_UCHAR text[256] = {};
    pcre2_get_error_message(code, text, sizeof text);
    error = {reinterpret_cast<const char*>(text), offset};
    return nullptr;
  }
  // Never compiled to machine code: that needs memory which is writable and executable.
  regex->context_ = pcre2_match_context_create(nullptr);
  BG_ASSERT(regex->context_ != nullptr);
  pcre2_set_match_limit(regex->context_, kMatchLimit);
  pcre2_set_heap_limit(regex->context_, kHeapKibMax);
  pcre2_pattern_info(regex->code_, PCRE2_INFO_CAPTURECOUNT, &regex->group_count_);
  regex->read_names();
  return regex;
}

Regex::~Regex() {
  pcre2_match_context_free(context_);
  pcre2_code_free(code_);
}

// The name table has entries of equal size: two bytes of group number, then the name with its NUL.
void Regex::read_names() {
  uint32_t count = 0;
  uint32_t entry_size = 0;
  PCRE2_SPTR table = nullptr;
  pcre2_pattern_info(code_, PCRE2_INFO_NAMECOUNT, &count);
  if (count == 0) return;
  pcre2_pattern_info(code_, PCRE2_INFO_NAMEENTRYSIZE, &entry_size);
  pcre2_pattern_info(code_, PCRE2_INFO_NAMETABLE, &table);
  for (uint32_t i = 0; i < count; ++i) {
    const PCRE2_SPTR entry = table + size_t{i} * entry_size;
    const uint32_t group = (uint32_t{entry[0]} << 8) | entry[1];
    names_.push_back({reinterpret_cast<const char*>(entry + 2), group});
  }
}

Result<bool> Regex::match(std::string_view subject, Captures* captures) const {
  const std::unique_ptr<pcre2_match_data, FreeMatchData> data(
      pcre2_match_data_create_from_pattern(code_, nullptr));
  BG_ASSERT(data != nullptr);
  const int rc = pcre2_match(code_, units(subject), subject.size(), 0, 0, data.get(), context_);
  if (rc == PCRE2_ERROR_NOMATCH) return false;
  if (rc < 0) return Error{Code::LimitReached, 0, "regular expression gave up"};
  if (captures != nullptr) {
    captures->regex_ = this;
    read_groups(data.get(), subject, captures->groups_);
  }
  return true;
}

}  // namespace beamgate::config
