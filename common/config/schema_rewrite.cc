#include <algorithm>

#include "common/config/condition.h"
#include "common/config/schema.h"
#include "common/config/store.h"
#include "common/config/tls_contexts.h"

namespace beamgate::config {
namespace {

constexpr Scopes kScripts = kServer | kLocation | kServerIf | kLocationIf;

Step& add_step(Setting& setting, Step::Kind kind) {
  Step& step = setting.frame.script->emplace_back();
  step.kind = kind;
  step.order = setting.frame.order;
  return step;
}

void add_set(Setting& setting) {
  std::string name = setting.arg(0) == "$args" ? "args" : setting.declare_variable(0);
  Template value;
  if (name.empty() || !setting.parse_template(1, value)) return;
  Step& step = add_step(setting, Step::Kind::Set);
  step.variable = std::move(name);
  step.value = std::move(value);
}

bool read_flag_word(Setting& setting, Rewrite& rewrite) {
  if (setting.count() < 3) return true;
  static constexpr std::pair<std::string_view, Rewrite::Flag> kFlags[] = {
      {"last", Rewrite::Flag::Last},
      {"break", Rewrite::Flag::Break},
      {"redirect", Rewrite::Flag::Redirect},
      {"permanent", Rewrite::Flag::Permanent},
  };
  for (const auto& [word, flag] : kFlags) {
    if (setting.arg(2) != word) continue;
    rewrite.flag = flag;
    return true;
  }
  setting.fail(2, "expected \"last\", \"break\", \"redirect\" or \"permanent\"");
  return false;
}

void add_rewrite(Setting& setting) {
  Rewrite rewrite;
  rewrite.regex = compile_argument(setting, 0, setting.arg(0), false);
  if (rewrite.regex == nullptr || !read_flag_word(setting, rewrite)) return;
  std::string text = setting.arg(1);
  if (text.find_first_of("\r\n") != std::string::npos) return setting.fail(1, "a URL has no line break");
  rewrite.keep_args = !text.ends_with('?');
  if (!rewrite.keep_args) text.pop_back();
  std::string why;
  if (!Template::parse(text, rewrite.replacement, why)) return setting.fail(1, why);
  setting.loader.check_variables(setting.frame, rewrite.replacement, setting.at(1));
  add_step(setting, Step::Kind::Rewrite).rewrite = std::move(rewrite);
}

bool is_redirect(uint64_t status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

void add_return(Setting& setting) {
  const std::string& first = setting.arg(0);
  const bool url = setting.count() == 1 && (first.starts_with("http://") || first.starts_with("https://") ||
                                            first.starts_with("$scheme"));
  uint64_t status = 302;
  if (!url) {
    const auto number = parse_number(first);
    if (!number.has_value() || *number < 200 || *number > 599) {
      return setting.fail(0, "expected a status from 200 to 599, or the URL of a redirect");
    }
    status = *number;
  }
  ReturnAction answer;
  const bool has_text = url || setting.count() == 2;
  if (has_text && !setting.parse_template(url ? 0 : 1, answer.text)) return;
  if (has_text && is_redirect(status) && answer.text.source().find_first_of("\r\n") != std::string::npos) {
    return setting.fail(url ? 0 : 1, "a URL has no line break");
  }
  answer.status = static_cast<uint16_t>(status);
  answer.has_text = has_text;
  add_step(setting, Step::Kind::Return).answer = std::move(answer);
}

void add_break(Setting& setting) { add_step(setting, Step::Kind::Break); }

// Settings in it make it a location of its own, which takes the place of the one around it.
bool has_settings(const std::vector<Statement>& statements) {
  return std::any_of(statements.begin(), statements.end(), [](const Statement& statement) {
    const std::string& name = statement.name.text;
    return name != "set" && name != "rewrite" && name != "return" && name != "break";
  });
}

void enter_if(Setting& setting) {
  Condition condition;
  if (!read_condition(setting, condition)) return;
  Script body;
  auto location = std::make_shared<Location>(*setting.frame.location);
  location->script.clear();
  location->try_files = {};  // As in nginx.
  location->locations.clear();
  Frame frame;
  frame.scope = setting.frame.scope == kServer ? kServerIf : kLocationIf;
  frame.parent = &setting.frame;
  frame.server = setting.frame.server;
  frame.location = location.get();
  frame.script = &body;
  setting.loader.run_block(frame, setting.statement.children);
  order_script(body);
  if (location->action == Action::None && !location->file.root.empty()) location->action = Action::Static;
  make_proxy_tls(setting, location->proxy);
  const size_t order = setting.frame.order;
  Step& step = setting.frame.script->emplace_back();
  step.kind = Step::Kind::If;
  step.order = order;
  step.condition = std::move(condition);
  step.body = std::move(body);
  if (has_settings(setting.statement.children)) step.location = std::move(location);
}

// "=status" of try_files.
bool read_status(std::string_view text, uint16_t& out) {
  const auto number = parse_number(text.substr(1));
  if (!number.has_value() || *number < 200 || *number > 599) return false;
  out = static_cast<uint16_t>(*number);
  return true;
}

void set_try_files(Setting& setting) {
  TryFiles files;
  const size_t last = setting.count() - 1;
  for (size_t i = 0; i < last; ++i) {
    if (!setting.parse_template(i, files.names.emplace_back())) return;
  }
  const std::string& elsewhere = setting.arg(last);
  if (elsewhere.starts_with('=')) {
    if (!read_status(elsewhere, files.status)) return setting.fail(last, "expected a status from 200 to 599 after \"=\"");
  } else if (!setting.parse_template(last, files.elsewhere)) {
    return;
  }
  setting.loader.words_at[elsewhere] = setting.at(last);
  setting.frame.location->try_files = std::move(files);
}

// "=", "=200" of error_page.
bool read_response(Setting& setting, size_t i, ErrorPage& page) {
  page.response = ErrorPage::kTheirs;
  if (setting.arg(i) == "=" || read_status(setting.arg(i), page.response)) return true;
  setting.fail(i, "expected a status from 200 to 599 after \"=\"");
  return false;
}

void add_error_page(Setting& setting) {
  std::vector<ErrorPage>& pages = setting.frame.location->error_pages;
  if (setting.first(setting.row.name)) pages.clear();
  ErrorPage page;
  const size_t last = setting.count() - 1;
  size_t statuses = last;
  if (setting.arg(last - 1).starts_with('=')) {
    if (!read_response(setting, last - 1, page)) return;
    --statuses;
  }
  if (statuses == 0) return setting.error("\"error_page\" names no status");
  for (size_t i = 0; i < statuses; ++i) {
    const auto number = parse_number(setting.arg(i));
    if (!number.has_value() || *number < 300 || *number > 599) return setting.fail(i, "expected a status from 300 to 599");
    page.statuses.push_back(static_cast<uint16_t>(*number));
  }
  if (!setting.parse_template(last, page.target)) return;
  setting.loader.words_at[setting.arg(last)] = setting.at(last);
  pages.push_back(std::move(page));
}

void set_internal(Setting& setting) { setting.frame.location->internal = true; }

constexpr Directive kRows[] = {
    {.name = "set",
     .scopes = kScripts,
     .arity = exactly(2),
     .repeatable = true,
     .set = add_set,
     .syntax = "$variable value",
     .help = "Gives a variable of the request a value, which may contain variables.  $args can be set as well."},
    {.name = "rewrite",
     .scopes = kScripts,
     .arity = between(2, 3),
     .repeatable = true,
     .set = add_rewrite,
     .syntax = "regex replacement [last | break | redirect | permanent]",
     .help = "When the path matches, it becomes the replacement, in which $1 and the like are what the groups have "
             "matched.  The request's arguments are appended unless the replacement ends with \"?\".  last: no more "
             "of this block is run, a location is searched; break: no more is run, and the location stays; redirect "
             "and permanent, or a replacement that begins with http://, https:// or $scheme: the client is sent there with 302 "
             "or 301.  Without any, the block runs on, and then a location is searched."},
    {.name = "return",
     .scopes = kScripts,
     .arity = between(1, 2),
     .repeatable = true,
     .set = add_return,
     .syntax = "status [text | URL] | URL",
     .help = "Answers at once.  Text and URL may contain variables.  In a server it answers before any location is "
             "searched.  444 closes the connection without an answer."},
    {.name = "break",
     .scopes = kScripts,
     .arity = exactly(0),
     .repeatable = true,
     .set = add_break,
     .help = "No more of set, rewrite, return, break and if is run; the location stays."},
    {.name = "if",
     .scopes = kServer | kLocation,
     .arity = at_least(1),
     .body = Body::Block,
     .phase = Phase::Enter,
     .repeatable = true,
     .set = enter_if,
     .syntax = "(condition)",
     .help = "Runs its block when the condition holds: a variable that is neither empty nor 0; a comparison with = or "
             "!=; a match with ~, ~* (without regard to case), !~ or !~*; -f, -d, -e or -x (a file, a directory, anything, "
             "something executable is there), with ! for the contrary.  Settings in the block hold instead of the "
             "location's, from the last such block that was run."},
    {.name = "try_files",
     .scopes = kServer | kLocation,
     .arity = at_least(2),
     .set = set_try_files,
     .syntax = "file ... uri | file ... @location | file ... =status",
     .help = "Serves the first file that there is below the root or alias; one with \"/\" at its end is a directory.  "
             "When there is none: goes to the path, with its arguments, or to the named location, or answers with the "
             "status.  In a server it holds where no location matches.  Not inherited."},
    {.name = "error_page",
     .scopes = kHttpServerLocation | kLocationIf,
     .arity = at_least(2),
     .repeatable = true,
     .set = add_error_page,
     .syntax = "status ... [=[response]] uri",
     .help = "Where answers with these statuses come from when they are the gateway's own, or an application's and "
             "proxy_intercept_errors is on: a path, which is asked for by GET; a named location, which gets the request as "
             "it was; or a URL, to which the client is sent, with 302 unless another of 301, 303, 307 or 308 is given.  The "
             "status stays, or is the response given; with = alone, that of what answers instead.  497 stands for a plain "
             "request to a TLS address.  Inherited only by blocks without an error_page of their own.  A named location isn't "
             "asked when the request's body has been passed on already and is no longer held."},
    {.name = "recursive_error_pages",
     .scopes = kHttpServerLocation,
     .set = store_flag<&Location::recursive_error_pages>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether an error of an error_page's answer has an error_page as well."},
    {.name = "internal",
     .scopes = kLocation,
     .arity = exactly(0),
     .set = set_internal,
     .help = "The location is found by error_page, try_files and rewrite only; requests of clients get 404."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> rewrite_directives() {
  return kRows;
}

}  // namespace beamgate::config
