#include "common/config/loader.h"
#include "common/config/schema.h"

namespace beamgate::config {
namespace {

bool parse_value(Setting& setting, const Word& word, Template& out) {
  std::string why;
  if (!Template::parse(word.text, out, why)) {
    setting.error_at(word.at, "invalid value \"" + word.text + "\" in \"map\": " + why);
    return false;
  }
  setting.loader.check_variables(setting.frame, out, word.at);
  return true;
}

bool add_regex(Setting& setting, const Statement& entry, Template value, ValueMap& map) {
  std::string_view pattern = entry.name.text;
  pattern.remove_prefix(1);
  const bool ignore_case = pattern.starts_with('*');
  if (ignore_case) pattern.remove_prefix(1);
  Regex::CompileError error;
  auto regex = Regex::compile(pattern, ignore_case, error);
  if (regex == nullptr || pattern.empty()) {
    setting.error_at(entry.name.at, pattern.empty() ? "expected a regular expression after \"~\""
                                                    : error.text + " at offset " + std::to_string(error.offset));
    return false;
  }
  for (const Regex::Name& name : regex->names()) setting.loader.captures.insert(name.name);
  map.add(std::move(regex), std::move(value));
  return true;
}

void add_entry(Setting& setting, const Statement& entry, ValueMap& map, bool& has_default) {
  std::string_view key = entry.name.text;
  if (entry.args.empty() && (key == "hostnames" || key == "volatile")) return;
  Template value;
  if (entry.block || entry.args.size() != 1) {
    return setting.error_at(entry.name.at, "expected \"text value;\" in \"map\"");
  }
  if (!parse_value(setting, entry.args[0], value)) return;
  if (key == "default") {
    if (has_default) return setting.error_at(entry.name.at, "duplicate default value in \"map\"");
    has_default = true;
    map.fallback = std::move(value);
    return;
  }
  if (key.starts_with('~')) return static_cast<void>(add_regex(setting, entry, std::move(value), map));
  if (key.starts_with('\\')) key.remove_prefix(1);
  if (map.add(key, std::move(value)) == ValueMap::Added::Duplicate) {
    setting.error_at(entry.name.at, "conflicting entry \"" + std::string(key) + "\" in \"map\"");
  }
}

void define_map(Setting& setting) {
  auto map = std::make_shared<ValueMap>();
  if (!setting.parse_template(0, map->source)) return;
  map->name = setting.declare_variable(1);
  if (map->name.empty()) return;
  for (const Statement& entry : setting.statement.children) {
    map->hostnames = map->hostnames || (entry.args.empty() && entry.name.text == "hostnames");
  }
  bool has_default = false;
  for (const Statement& entry : setting.statement.children) add_entry(setting, entry, *map, has_default);
  setting.loader.maps_at[map->name] = setting.statement.name.at;
  const std::string name = map->name;
  if (!setting.loader.config->http.maps.emplace(name, std::move(map)).second) {
    setting.fail(1, "a map of this variable exists already");
  }
}

constexpr Directive kRows[] = {
    {.name = "map",
     .scopes = kHttp,
     .arity = exactly(2),
     .body = Body::Block,
     .phase = Phase::Define,
     .repeatable = true,
     .set = define_map,
     .syntax = "text $variable",
     .help = "Makes a variable of another text, by lines \"text value;\" in its block: an exact text without regard to "
             "case, ~ or ~* and a regular expression, whose groups the value may contain, or default.  With "
             "hostnames, texts may be *.example.com, www.example.* and .example.com.  It is looked up whenever it is used."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> map_directives() {
  return kRows;
}

}  // namespace beamgate::config
