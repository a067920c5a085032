#include <algorithm>

#include "common/config/doubts.h"
#include "common/config/field.h"
#include "common/config/network.h"
#include "common/config/regex.h"
#include "common/config/schema.h"
#include "common/config/store.h"
#include "common/config/tls_contexts.h"

namespace beamgate::config {
namespace {

bool is_regex(LocationMatch match) {
  return match == LocationMatch::Regex || match == LocationMatch::RegexNoCase;
}

// The modifier may stand by itself or be the beginning of the pattern, as in nginx.
bool split_matcher(Setting& setting, Location& location) {
  struct Modifier {
    std::string_view text;
    LocationMatch match;
  };
  static constexpr Modifier kModifiers[] = {
      {"=", LocationMatch::Exact},
      {"^~", LocationMatch::PrefixFinal},
      {"~*", LocationMatch::RegexNoCase},
      {"~", LocationMatch::Regex},
  };
  location.match = LocationMatch::Prefix;
  location.pattern = setting.arg(setting.count() - 1);
  for (const Modifier& modifier : kModifiers) {
    if (setting.count() == 2 && setting.arg(0) == modifier.text) {
      location.match = modifier.match;
      return true;
    }
    if (setting.count() == 1 && location.pattern.starts_with(modifier.text)) {
      location.match = modifier.match;
      location.pattern.erase(0, modifier.text.size());
      return true;
    }
  }
  if (setting.count() == 1) {
    if (location.pattern.starts_with('@')) location.match = LocationMatch::Named;
    return true;
  }
  setting.fail(0, "expected \"=\", \"^~\", \"~\" or \"~*\"");
  return false;
}

bool compile_pattern(Setting& setting, Frame& frame, Location& location) {
  Regex::CompileError error;
  location.regex = Regex::compile(location.pattern, location.match == LocationMatch::RegexNoCase, error);
  if (location.regex == nullptr) {
    setting.fail(setting.count() - 1, error.text + " at offset " + std::to_string(error.offset));
    return false;
  }
  for (const Regex::Name& name : location.regex->names()) {
    frame.captures.push_back(name.name);
    setting.loader.captures.insert(name.name);
  }
  return true;
}

// False, with an error, when the pattern makes no sense here.
bool check_pattern(Setting& setting, const Location& location) {
  if (location.match == LocationMatch::Named) {
    if (setting.frame.scope == kServer && location.pattern.size() > 1) return true;
    setting.error("a named location belongs into a server");
    return false;
  }
  if (!is_regex(location.match) && !location.pattern.starts_with('/')) {
    setting.fail(setting.count() - 1, "expected a pattern that starts with \"/\"");
    return false;
  }
  if (setting.frame.scope != kLocation) return true;
  const Location& outer = *setting.frame.location;
  if (outer.match == LocationMatch::Exact) {
    setting.error("location \"" + location.pattern + "\" cannot be inside the exact location \"" +
                  outer.pattern + "\"");
    return false;
  }
  if (!is_regex(location.match) && !location.pattern.starts_with(outer.pattern)) {
    setting.error("location \"" + location.pattern + "\" is outside location \"" + outer.pattern + "\"");
    return false;
  }
  return true;
}

bool is_duplicate(const std::vector<Location>& siblings, const Location& location) {
  const auto kind = [](LocationMatch match) {
    return match == LocationMatch::PrefixFinal ? LocationMatch::Prefix : match;
  };
  return std::any_of(siblings.begin(), siblings.end(), [&](const Location& other) {
    return kind(other.match) == kind(location.match) && other.pattern == location.pattern;
  });
}

// An inherited alias stands for the outer prefix; what this prefix adds to it belongs to the path.
void inherit_alias(Location& location, const Location& outer) {
  if (location.file.alias.empty()) return;
  if (is_regex(location.match)) {
    location.file.alias.clear();
  } else {
    location.file.alias += location.pattern.substr(outer.pattern.size());
  }
}

// Who relies on them would be wrong.
void warn_of_idle_settings(Setting& setting, const Frame& frame, const Location& location) {
  using Mode = WebSocketAction::Mode;
  const WebSocketAction& socket = location.websocket;
  if (location.action != Action::WebSocket || (socket.mode != Mode::Echo && socket.mode != Mode::Pusher)) return;
  const std::string why = socket.mode == Mode::Echo ? "\"websocket echo\" answers anybody" : "\"websocket pusher\" goes by its app";
  const std::pair<const char*, bool> idle[] = {{"webhook", frame.said.contains("webhook")},
                                               {"websocket_publish", !socket.publish.empty()},
                                               {"websocket_subscribe", !socket.subscribe.empty()},
                                               {"websocket_token", socket.token != nullptr}};
  for (const auto& [name, said] : idle) {
    if (said) setting.warn_at(setting.statement.name.at, "\"" + std::string(name) + "\" does nothing here: " + why);
  }
}

// A message that no queue takes ends the connection of each who is to get it.
void warn_of_small_queue(Setting& setting, const Location& location) {
  const WebSocketAction& socket = location.websocket;
  const bool passes_on = socket.mode != WebSocketAction::Mode::Raw || !socket.publish.empty();
  if (location.action != Action::WebSocket || !passes_on || socket.message_bytes_max <= socket.send_queue_bytes) return;
  setting.warn_at(setting.statement.name.at, "websocket_message_max lets clients send messages of " +
                                                 std::to_string(socket.message_bytes_max) +
                                                 " bytes, and a websocket_send_queue of " +
                                                 std::to_string(socket.send_queue_bytes) + " takes none so large");
}

void enter_location(Setting& setting) {
  const Location& outer = *setting.frame.location;
  std::vector<Location>& siblings =
      setting.frame.scope == kServer ? setting.frame.server->locations : setting.frame.location->locations;
  Location location = outer;
  location.locations.clear();
  location.regex = nullptr;
  location.action = Action::None;
  location.script.clear();
  location.try_files = {};
  location.proxy.forget_target();
  location.fastcgi.upstream = nullptr;
  Frame frame;
  frame.scope = kLocation;
  frame.parent = &setting.frame;
  frame.server = setting.frame.server;
  frame.location = &location;
  frame.script = &location.script;
  if (!split_matcher(setting, location) || !check_pattern(setting, location)) return;
  if (is_regex(location.match) && !compile_pattern(setting, frame, location)) return;
  if (is_duplicate(siblings, location)) setting.error("duplicate location \"" + location.pattern + "\"");
  inherit_alias(location, outer);
  setting.loader.run_block(frame, setting.statement.children);
  warn_of_idle_settings(setting, frame, location);
  warn_of_small_queue(setting, location);
  doubt_location(setting, location);
  order_script(location.script);
  if (location.action == Action::None && !(location.file.root.empty() && location.file.alias.empty())) {
    location.action = Action::Static;
  }
  make_proxy_tls(setting, location.proxy);
  siblings.push_back(std::move(location));
}

void set_root(Setting& setting) {
  if (setting.frame.said.contains("alias")) {
    return setting.error("\"root\" and \"alias\" can't both be given in a location");
  }
  setting.frame.location->file.root = setting.path(0);
  setting.frame.location->file.alias.clear();
}

void set_alias(Setting& setting) {
  if (setting.frame.said.contains("root")) return;  // set_root has said it.
  if (is_regex(setting.frame.location->match)) {
    return setting.error("\"alias\" in a location given by a regular expression is not supported");
  }
  setting.frame.location->file.alias = setting.path(0);
  setting.frame.location->file.root.clear();
}

void add_index(Setting& setting) {
  for (size_t i = 0; i < setting.count(); ++i) {
    const std::string& name = setting.arg(i);
    if (name.empty() || name.find_first_of("$/") != std::string::npos) {
      return setting.fail(i, "expected the name of a file, without \"/\" and variables");
    }
  }
  store_words<&Location::file, &StaticAction::index>(setting);
}

void add_access_rule(Setting& setting) {
  std::vector<AccessRule>& rules = setting.frame.location->access;
  if (setting.first("access")) rules.clear();
  AccessRule rule;
  bool low_bits = false;
  rule.allow = setting.row.name == "allow";
  if (!parse_access_rule(setting.arg(), rule, low_bits)) {
    return setting.fail(0, "expected an address, address/bits, \"unix:\" or \"all\"");
  }
  if (low_bits) setting.warn_at(setting.at(), "low address bits of " + setting.arg() + " are meaningless");
  rules.push_back(rule);
}

void add_response_header(Setting& setting) {
  std::vector<NameValue>& headers = setting.frame.location->add_headers;
  if (setting.first(setting.row.name)) headers.clear();
  const bool always = setting.count() == 3;
  if (always && setting.arg(2) != "always") return setting.fail(2, "expected \"always\"");
  const size_t before = headers.size();
  store_field(setting, headers);
  if (headers.size() > before) headers.back().always = always;
}

constexpr Directive kRows[] = {
    {.name = "location",
     .scopes = kServer | kLocation,
     .arity = between(1, 2),
     .body = Body::Block,
     .phase = Phase::Enter,
     .repeatable = true,
     .set = enter_location,
     .syntax = "[= | ~ | ~* | ^~] pattern | @name",
     .help = "Settings for requests whose path matches: = the whole path; ~ and ~* a regular expression, "
             "with and "
             "without regard to case; ^~ a prefix after which no regular expression is tried; else a prefix. "
             " The "
             "longest prefix is found first, then the first regular expression that matches wins over it.  A "
             "pattern with braces needs quotes.  @name is for error_page and try_files."},
    {.name = "root",
     .scopes = kHttpServerLocation | kLocationIf,
     .set = set_root,
     .syntax = "directory",
     .help = "Directory of files to serve; the request's path is appended.  Symbolic links below it are followed to what is "
             "below it too, and only where they are relative: an absolute one is refused with 403 even if it leads back, as is "
             "one that leads out."},
    {.name = "alias",
     .scopes = kLocation,
     .set = set_alias,
     .syntax = "path",
     .help = "Directory of files to serve; what follows the location's prefix is appended.  Symbolic links as with root: only "
             "relative ones that stay below it."},
    {.name = "index",
     .scopes = kHttpServerLocation,
     .arity = at_least(1),
     .repeatable = true,
     .set = add_index,
     .syntax = "file ...",
     .fallback = "index.html",
     .help = "Files that answer for a directory, tried in this order."},
    {.name = "allow",
     .scopes = kHttpServerLocation,
     .repeatable = true,
     .set = add_access_rule,
     .syntax = "address[/bits] | unix: | all",
     .help =
         "Lets clients in.  Rules are tried in the order written and the first that fits decides; when none "
         "does, the client may enter.  Inherited only by blocks without allow and deny of their own."},
    {.name = "deny",
     .scopes = kHttpServerLocation,
     .repeatable = true,
     .set = add_access_rule,
     .syntax = "address[/bits] | unix: | all",
     .help = "Answers clients with 403; see allow."},
    {.name = "add_header",
     .scopes = kHttpServerLocation | kLocationIf,
     .arity = between(2, 3),
     .repeatable = true,
     .set = add_response_header,
     .syntax = "field value [always]",
     .help = "Adds a field to responses with status 200, 201, 204, 206, 301, 302, 303, 304, 307 or 308, with "
             "always to any.  Inherited only by blocks without an add_header of their own."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> location_directives() {
  return kRows;
}

}  // namespace beamgate::config
