#include <algorithm>

#include "common/base/bytes.h"
#include "common/config/built_in.h"
#include "common/config/field.h"
#include "common/config/log_path.h"
#include "common/config/network.h"
#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

// nginx's predefined format.
constexpr std::string_view kCombined =
    "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" "
    "\"$http_user_agent\"";

LogFormat combined() {
  LogFormat out;
  std::string error;
  BG_ASSERT(Template::parse(kCombined, out.format, error));
  return out;
}

void define_log_format(Setting& setting) {
  LogFormat format;
  size_t first = 1;
  if (setting.arg(1).starts_with("escape=")) {
    const std::string kind = setting.arg(1).substr(7);
    if (kind == "json") {
      format.escape = AccessLog::Escape::Json;
    } else if (kind == "none") {
      format.escape = AccessLog::Escape::None;
    } else if (kind != "default") {
      return setting.fail(1, "expected \"default\", \"json\" or \"none\" after \"escape=\"");
    }
    first = 2;
  }
  if (first >= setting.count()) return setting.error("\"log_format\" has no format");
  // Several words are one text; an error in it is reported at the first of them.
  std::string text;
  for (size_t i = first; i < setting.count(); ++i) text += setting.arg(i);
  std::string why;
  if (!Template::parse(text, format.format, why)) return setting.fail(first, why);
  setting.loader.check_variables(setting.frame, format.format, setting.at(first));
  if (!setting.loader.log_formats.emplace(setting.arg(0), std::move(format)).second) {
    setting.error("duplicate \"log_format\" name \"" + setting.arg(0) + "\"");
  }
}

// The words behind the file: a format's name first, "if=" anywhere.
bool read_access_log_words(Setting& setting, AccessLog& log) {
  std::string name = "combined";
  size_t named = 0;
  for (size_t i = 1; i < setting.count(); ++i) {
    const std::string& word = setting.arg(i);
    if (word.starts_with("if=")) {
      std::string error;
      log.conditional = true;
      if (!Template::parse(word.substr(3), log.condition, error)) {
        setting.fail(i, error);
        return false;
      }
      setting.loader.check_variables(setting.frame, log.condition, setting.at(i));
    } else if (word.starts_with("buffer=") || word.starts_with("flush=")) {
      const bool size = word.starts_with("buffer=");
      const std::string_view value = std::string_view(word).substr(size ? 7 : 6);
      if (size ? !parse_size(value).has_value() : !parse_time_ms(value).has_value()) {
        setting.fail(i, size ? "expected a size after \"buffer=\"" : "expected a time after \"flush=\"");
        return false;
      }
      setting.warn_at(setting.at(i), "\"" + word + "\" is ignored: lines are written together, and wait no longer than a "
                                     "turn of the worker's loop");
    } else if (word.find('=') != word.npos || word == "gzip" || named != 0) {
      setting.fail(i, "such parameters are not supported");
      return false;
    } else {
      named = i;
      name = word;
    }
  }
  const auto format = setting.loader.log_formats.find(name);
  if (format == setting.loader.log_formats.end()) {
    setting.fail(named, "unknown log format");
    return false;
  }
  log.format = format->second.format;
  log.escape = format->second.escape;
  return true;
}

void set_access_log(Setting& setting) {
  auto& logs = setting.frame.location->access_logs;
  if (setting.first(setting.row.name)) logs.clear();
  if (setting.arg(0) == "off") {
    if (setting.count() > 1) return setting.fail(1, "\"off\" stands alone");
    logs.clear();
    return;
  }
  AccessLog log;
  if (!read_access_log_words(setting, log) || !read_log_path(setting, log.path)) return;
  logs.push_back(std::move(log));
}

// A block of "media/type extension ...;", which are no directives.
void read_types(Setting& setting, const std::vector<Statement>& entries,
                std::map<std::string, std::string>& types) {
  types.clear();
  for (const Statement& entry : entries) {
    const std::string& type = entry.name.text;
    if (entry.block || entry.args.empty() || type.find('/') == std::string::npos) {
      setting.error_at(entry.name.at, "expected \"media/type extension ...;\" in \"types\"");
      continue;
    }
    for (const Word& extension : entry.args) types[to_lower(extension.text)] = type;
  }
}

void set_types(Setting& setting) {
  read_types(setting, setting.statement.children, setting.frame.location->types);
}

std::vector<Statement> built_in_type_statements() {
  std::vector<Source> sources;
  Diagnostics diagnostics;
  std::vector<Statement> statements;
  StatementReader reader(sources, diagnostics, "/");
  reader.read_text("mime.types", std::string(built_in_types()), statements);
  BG_ASSERT(!diagnostics.has_errors() && statements.size() == 1);
  return std::move(statements[0].children);
}

void add_trusted(Setting& setting) {
  std::vector<AccessRule>& trusted = setting.frame.location->real_ip.trusted;
  if (setting.first(setting.row.name)) trusted.clear();
  AccessRule rule;
  bool low_bits = false;
  if (setting.arg() == "all" || !parse_access_rule(setting.arg(), rule, low_bits)) {
    return setting.fail(0, "expected an address, address/bits or \"unix:\"");
  }
  if (low_bits) setting.warn_at(setting.at(), "low address bits of " + setting.arg() + " are meaningless");
  trusted.push_back(rule);
}

void set_real_ip_header(Setting& setting) {
  if (!is_token(setting.arg())) return setting.fail(0, "expected the name of an HTTP field");
  setting.frame.location->real_ip.header = setting.arg();
}

void set_header_buffers(Setting& setting) {
  const auto number = parse_number(setting.arg(0));
  if (!number.has_value() || *number < 1 || *number > 1024) {
    return setting.fail(0, "expected a number from 1 to 1024");
  }
  const auto size = parse_size(setting.arg(1));
  if (!size.has_value() || *size < 256 || *size > (1 << 20)) {
    return setting.fail(1, "expected a size from 256 to 1m");
  }
  setting.frame.server->header_bytes_max = *number * *size;
  setting.frame.server->request_line_bytes_max = *size;
}

// "65 60": nginx's second value is for the field Keep-Alive alone.
void set_keepalive_timeout(Setting& setting) {
  store_time<&Location::keepalive_timeout_ms>(setting);
  Location& location = *setting.frame.location;
  location.keepalive_header_ms = 0;
  if (setting.count() < 2) return;
  const auto told = parse_time_ms(setting.arg(1));
  if (!told.has_value() || *told > *parse_time_ms(setting.row.max)) return setting.fail(1, expected_range(setting.row, "a time"));
  location.keepalive_header_ms = *told;
}

void enter_http(Setting& setting) {
  Server prototype;
  Frame frame;
  frame.scope = kHttp;
  frame.parent = &setting.frame;
  frame.server = &prototype;
  frame.location = &prototype.fallback;
  Loader& loader = setting.loader;
  loader.log_formats.emplace("combined", combined());
  loader.set_fallbacks(frame);
  read_types(setting, built_in_type_statements(), prototype.fallback.types);
  loader.run_block(frame, setting.statement.children);
  // The dump defines what proxy_pass has resolved, so that it means the same wherever it is read.
  std::vector<Statement>& children = setting.statement.children;
  children.insert(children.begin(), std::make_move_iterator(loader.implicit_upstreams.begin()),
                  std::make_move_iterator(loader.implicit_upstreams.end()));
}

constexpr Directive kRows[] = {
    {.name = "http",
     .scopes = kMain,
     .arity = exactly(0),
     .body = Body::Block,
     .phase = Phase::Enter,
     .set = enter_http,
     .help = "Holds servers, and settings that all of them share."},
    {.name = "log_format",
     .scopes = kHttp,
     .arity = at_least(2),
     .phase = Phase::Define,
     .repeatable = true,
     .set = define_log_format,
     .syntax = "name [escape=default|json|none] text ...",
     .fallback_help = "combined is predefined",
     .applies = Applies::Now,
     .help = "Defines a format of access logs, with variables; several texts are joined."},
    {.name = "access_log",
     .scopes = kHttpServerLocation | kLocationIf,
     .arity = between(1, 5),
     .repeatable = true,
     .set = set_access_log,
     .syntax = "file | syslog:server=address[,facility=name][,severity=name][,tag=word][,nohostname] "
               "[format] [if=condition] [buffer=size] [flush=time] | off",
     .fallback = "off",
     .applies = Applies::Now,
     .help = "Where requests are logged, and in which format; combined when none is named.  Several of them log to several "
             "places.  A syslog server is an address, whose port is 514 when none is given, or unix:path such as "
             "unix:/dev/log; without more words a line is of facility local7, severity info and tag beamgate.  With if= a "
             "request is logged only when the condition is neither empty nor 0.  buffer and flush are taken and ignored: "
             "lines are written together anyway, and wait no longer than a turn of the worker's loop.  Of a request that is "
             "refused because its head can't be read, $request is the first line as it came, 2 KiB of it at most.  A full "
             "disk costs lines, which are counted, and stops nothing."},
    {.name = "types",
     .scopes = kHttpServerLocation,
     .arity = exactly(0),
     .body = Body::Block,
     .set = set_types,
     .fallback_help = "those of mime.types",
     .help = "Media types by a file's extension, as lines of \"media/type extension ...;\"."},
    {.name = "default_type",
     .scopes = kHttpServerLocation,
     .set = store_word<&Location::default_type>,
     .syntax = "media/type",
     .fallback = "text/plain",
     .help = "Media type of files whose extension is unknown."},
    {.name = "set_real_ip_from",
     .scopes = kHttpServerLocation,
     .repeatable = true,
     .set = add_trusted,
     .syntax = "address[/bits] | unix:",
     .help = "Proxies in front of BeamGate: what they say about the client, in real_ip_header and "
             "X-Forwarded-*, is "
             "believed.  Inherited only by blocks without a set_real_ip_from of their own."},
    {.name = "real_ip_header",
     .scopes = kHttpServerLocation,
     .set = set_real_ip_header,
     .syntax = "field | proxy_protocol",
     .fallback = "X-Real-IP",
     .help = "The field by which such a proxy names the client, often X-Forwarded-For; of Forwarded it is the for "
             "parameter.  With proxy_protocol it is the address of the PROXY protocol header (see listen); what counts "
             "is then the default server's setting when the connection begins, and the client's own X-Forwarded-* are not "
             "believed."},
    {.name = "real_ip_recursive",
     .scopes = kHttpServerLocation,
     .set = store_flag<&Location::real_ip, &RealIp::recursive>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether the client is the last address of the field that is not trusted, instead of the last one."},
    {.name = "underscores_in_headers",
     .scopes = kHttp | kServer,
     .set = store_flag<&Server::underscores_in_headers>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether fields with \"_\" in their names are passed on and are in $http_ variables; applications read \"_\" "
             "and \"-\" as the same letter.  Those that could pass for a field of the gateway are left out in any case."},
    {.name = "client_max_body_size",
     .scopes = kHttpServerLocation,
     .set = store_bytes<&Location::body_bytes_max>,
     .syntax = "size",
     .fallback = "1m",
     .min = "0",
     .max = "1048576g",
     .help = "Largest body of a request; a bigger one gets 413.  0 sets no limit."},
    {.name = "client_body_timeout",
     .scopes = kHttpServerLocation,
     .set = store_time<&Location::body_timeout_ms>,
     .syntax = "time",
     .fallback = "60s",
     .min = "1ms",
     .max = "1d",
     .help = "Time between two reads of a body; then 408."},
    {.name = "client_header_timeout",
     .scopes = kHttp | kServer,
     .set = store_time<&Server::header_timeout_ms>,
     .syntax = "time",
     .fallback = "60s",
     .min = "1ms",
     .max = "1d",
     .help = "Time for the whole head of a request; then 408."},
    {.name = "large_client_header_buffers",
     .scopes = kHttp | kServer,
     .arity = exactly(2),
     .set = set_header_buffers,
     .syntax = "number size",
     .fallback = "4 8k",
     .help = "number times size is the limit of a request's head, size that of its first line (414 beyond) "
             "and of "
             "each field (431 beyond)."},
    {.name = "client_header_fields_max",
     .scopes = kHttp | kServer,
     .set = store_number<&Server::header_fields_max>,
     .syntax = "number",
     .fallback = "100",
     .min = "1",
     .max = "10000",
     .help = "Most fields in a request's head; 431 beyond."},
    {.name = "send_timeout",
     .scopes = kHttpServerLocation,
     .set = store_time<&Location::send_timeout_ms>,
     .syntax = "time",
     .fallback = "60s",
     .min = "1ms",
     .max = "1d",
     .help = "Time between two writes of a response; then the connection is closed."},
    {.name = "keepalive_timeout",
     .scopes = kHttpServerLocation,
     .arity = between(1, 2),
     .set = set_keepalive_timeout,
     .syntax = "time [time]",
     .fallback = "75s",
     .min = "0",
     .max = "1d",
     .help = "How long an idle connection is kept; 0 closes after each response.  A second time is what clients are told "
             "in the field Keep-Alive; without one, or where it is below a second, there is no such field."},
    {.name = "keepalive_requests",
     .scopes = kHttpServerLocation,
     .set = store_number<&Location::keepalive_requests>,
     .syntax = "number",
     .fallback = "1000",
     .min = "1",
     .max = "1000000000",
     .help = "Requests after which a connection is closed."},
    {.name = "server_tokens",
     .scopes = kHttpServerLocation,
     .set = store_flag<&Location::server_tokens>,
     .syntax = "on | off",
     .fallback = "on",
     .help = "Whether responses say the version in their Server field."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> http_directives() {
  return kRows;
}

}  // namespace beamgate::config
