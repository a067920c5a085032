#include "common/config/value_map.h"

#include "common/base/bytes.h"

namespace beamgate::config {
namespace {

using Table = std::unordered_map<std::string, Template>;

const Template* lookup(const Table& table, std::string_view key) {
  const auto found = table.find(std::string(key));
  return found == table.end() ? nullptr : &found->second;
}

// "a.b.x" tries "b.x", then "x".
const Template* find_head(const Table& heads, std::string_view host) {
  if (heads.empty()) return nullptr;
  for (size_t dot = host.find('.'); dot != host.npos; dot = host.find('.', dot + 1)) {
    if (const Template* value = lookup(heads, host.substr(dot + 1))) return value;
  }
  return nullptr;
}

// "x.y.z" tries "x.y", then "x".
const Template* find_tail(const Table& tails, std::string_view host) {
  if (tails.empty()) return nullptr;
  for (size_t dot = host.rfind('.'); dot != host.npos && dot > 0; dot = host.rfind('.', dot - 1)) {
    if (const Template* value = lookup(tails, host.substr(0, dot))) return value;
  }
  return nullptr;
}

}  // namespace

ValueMap::Added ValueMap::add(std::string_view key, Template value) {
  const std::string lower = to_lower(key);
  const std::string_view text = lower;
  bool added = true;
  if (hostnames && text.starts_with('.') && text.size() > 1) {
    added = exact_.emplace(text.substr(1), value).second;
    added = heads_.emplace(text.substr(1), std::move(value)).second && added;
  } else if (hostnames && text.starts_with("*.")) {
    added = heads_.emplace(text.substr(2), std::move(value)).second;
  } else if (hostnames && text.ends_with(".*")) {
    added = tails_.emplace(text.substr(0, text.size() - 2), std::move(value)).second;
  } else {
    added = exact_.emplace(text, std::move(value)).second;
  }
  return added ? Added::Yes : Added::Duplicate;
}

void ValueMap::add(std::shared_ptr<const Regex> regex, Template value) {
  regexes_.emplace_back(std::move(regex), std::move(value));
}

const Template& ValueMap::find(std::string_view text, Captures& captures) const {
  std::string lower = to_lower(text);
  if (hostnames && lower.ends_with('.')) lower.pop_back();
  if (const Template* value = lookup(exact_, lower)) return *value;
  if (const Template* value = find_head(heads_, lower)) return *value;
  if (const Template* value = find_tail(tails_, lower)) return *value;
  for (const auto& [regex, value] : regexes_) {
    const Result<bool> matched = regex->match(text, &captures);
    if (matched.ok() && matched.value()) return value;
  }
  return fallback;
}

std::vector<const Template*> ValueMap::values() const {
  std::vector<const Template*> out{&fallback};
  for (const Table* table : {&exact_, &heads_, &tails_}) {
    for (const auto& [key, value] : *table) out.push_back(&value);
  }
  for (const auto& [regex, value] : regexes_) out.push_back(&value);
  return out;
}

}  // namespace beamgate::config
