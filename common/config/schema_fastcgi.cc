#include "common/config/backend_values.h"
#include "common/config/regex.h"
#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

constexpr auto kFastcgi = &Location::fastcgi;

void set_pass(Setting& setting) {
  std::string authority = setting.arg();
  if (authority.find('$') != std::string::npos) return setting.fail(0, "variables are not supported here");
  if (authority.starts_with("unix:")) {
    authority = "unix:" + setting.loader.absolute(authority.substr(5));
    setting.replace(0, authority);
  }
  FastcgiAction& fastcgi = setting.frame.location->fastcgi;
  std::string error;
  fastcgi.upstream = find_upstream(setting, authority, 0, error);
  if (fastcgi.upstream == nullptr) return setting.fail(0, error);
  setting.choose(Action::Fastcgi);
}

void add_param(Setting& setting) {
  std::vector<FastcgiParam>& params = setting.frame.location->fastcgi.params;
  if (setting.first(setting.row.name)) params.clear();
  FastcgiParam param;
  param.name = setting.arg(0);
  if (param.name.empty()) return setting.fail(0, "expected a name");
  if (setting.count() == 3 && setting.arg(2) != "if_not_empty") return setting.fail(2, "expected \"if_not_empty\"");
  param.if_not_empty = setting.count() == 3;
  if (setting.parse_template(1, param.value)) params.push_back(std::move(param));
}

void set_index(Setting& setting) {
  if (setting.arg().find('$') != std::string::npos) return setting.fail(0, "variables are not supported here");
  setting.frame.location->fastcgi.index = setting.arg();
}

void set_split(Setting& setting) {
  Regex::CompileError error;
  const auto regex = Regex::compile(setting.arg(), false, error);
  if (regex == nullptr) return setting.fail(0, error.text + " at offset " + std::to_string(error.offset));
  if (regex->group_count() != 2) return setting.fail(0, "expected a pattern with two captures");
  setting.frame.location->fastcgi.split = regex;
}

constexpr Directive kRows[] = {
    {.name = "fastcgi_pass",
     .scopes = kLocation | kLocationIf,
     .set = set_pass,
     .syntax = "host:port | unix:path | upstream",
     .help = "Passes requests on to FastCGI servers, such as php-fpm.  Names are resolved when the configuration is "
             "read.  Balancing, keep-alive and limits are those of the upstream."},
    {.name = "fastcgi_param",
     .scopes = kHttpServerLocation,
     .arity = between(2, 3),
     .repeatable = true,
     .set = add_param,
     .syntax = "name value [if_not_empty]",
     .help = "What a script is told; with if_not_empty only when there is a value.  Inherited only by blocks without a "
             "fastcgi_param of their own.  The files fastcgi_params and fastcgi.conf have the usual ones.  Besides "
             "these, a script gets every field of the request as HTTP_..., unless fastcgi_param gives that name: but "
             "no Proxy, no Transfer-Encoding, no BeamGate-..., Ce-... and Webhook-..., no field with \"_\" in its "
             "name (see underscores_in_headers), and no X-Forwarded-..., Forwarded and X-Real-IP from a peer that "
             "set_real_ip_from doesn't name."},
    {.name = "fastcgi_split_path_info",
     .scopes = kHttpServerLocation,
     .set = set_split,
     .syntax = "regex",
     .help = "A regular expression with two captures, for the request's path: the first becomes "
             "$fastcgi_script_name, the second $fastcgi_path_info.  Where it doesn't match, the whole path is the "
             "script's name."},
    {.name = "fastcgi_index",
     .scopes = kHttpServerLocation,
     .set = set_index,
     .syntax = "name",
     .help = "What is appended to a $fastcgi_script_name that ends with \"/\"."},
    {.name = "fastcgi_keep_conn",
     .scopes = kHttpServerLocation,
     .set = store_flag<kFastcgi, &FastcgiAction::keep_conn>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether servers are asked to keep connections open.  Each process of php-fpm serves one connection at a "
             "time, so that the upstream's keepalive should be well below their number."},
    {.name = "fastcgi_pass_request_headers",
     .scopes = kHttpServerLocation,
     .set = store_flag<kFastcgi, &FastcgiAction::pass_request_headers>,
     .syntax = "on | off",
     .fallback = "on",
     .help = "Whether scripts get the fields of requests, as HTTP_..."},
    {.name = "fastcgi_pass_request_body",
     .scopes = kHttpServerLocation,
     .set = store_flag<kFastcgi, &FastcgiAction::pass_request_body>,
     .syntax = "on | off",
     .fallback = "on",
     .help = "Whether scripts get the bodies of requests."},
    {.name = "fastcgi_connect_timeout",
     .scopes = kHttpServerLocation,
     .set = store_time<kFastcgi, &FastcgiAction::connect_timeout_ms>,
     .syntax = "time",
     .fallback = "60s",
     .min = "1ms",
     .max = "1d",
     .help = "Time to connect to a server."},
    {.name = "fastcgi_send_timeout",
     .scopes = kHttpServerLocation,
     .set = store_time<kFastcgi, &FastcgiAction::send_timeout_ms>,
     .syntax = "time",
     .fallback = "60s",
     .min = "1ms",
     .max = "1d",
     .help = "Time between two writes to a server."},
    {.name = "fastcgi_read_timeout",
     .scopes = kHttpServerLocation,
     .set = store_time<kFastcgi, &FastcgiAction::read_timeout_ms>,
     .syntax = "time",
     .fallback = "60s",
     .min = "1ms",
     .max = "30d",
     .help = "Time between two reads from a server."},
    {.name = "fastcgi_buffer_size",
     .scopes = kHttpServerLocation,
     .set = store_bytes<kFastcgi, &FastcgiAction::buffer_bytes>,
     .syntax = "size",
     .fallback = "64k",
     .min = "4k",
     .max = "1g",
     .help = "Most that is held of one request's body in memory."},
    {.name = "fastcgi_request_buffering",
     .scopes = kHttpServerLocation,
     .set = store_flag<kFastcgi, &FastcgiAction::request_buffering>,
     .syntax = "on | off",
     .fallback = "on",
     .help = "On: a request is passed on when its body has been read as a whole, into a nameless file in "
             "fastcgi_temp_path where it is larger than fastcgi_buffer_size; it can then be passed to another server. "
             " Off: a body larger than that is passed on as it comes, unless its length isn't known: a script is told "
             "the length first."},
    {.name = "fastcgi_temp_path",
     .scopes = kHttpServerLocation,
     .set = store_path<kFastcgi, &FastcgiAction::temp_path>,
     .syntax = "path",
     .fallback = "/tmp",
     .help = "The directory in which request bodies are held; the workers write to it."},
    {.name = "fastcgi_next_upstream",
     .scopes = kHttpServerLocation,
     .arity = at_least(1),
     .set = store_next_upstream<kFastcgi>,
     .syntax = kNextUpstreamSyntax,
     .fallback = "error timeout",
     .help = "When a request is passed to the next server, as proxy_next_upstream says.  A server that answers "
             "FCGI_OVERLOADED has not begun, and counts as an error; when there is no other, the client gets 503."},
    {.name = "fastcgi_next_upstream_tries",
     .scopes = kHttpServerLocation,
     .set = store_number<kFastcgi, &FastcgiAction::next_upstream_tries>,
     .syntax = "number",
     .fallback = "0",
     .min = "0",
     .max = "1000000",
     .help = "Servers that a request is passed to at most; 0: each once."},
    {.name = "fastcgi_next_upstream_timeout",
     .scopes = kHttpServerLocation,
     .set = store_time<kFastcgi, &FastcgiAction::next_upstream_timeout_ms>,
     .syntax = "time",
     .fallback = "0",
     .min = "0",
     .max = "1d",
     .help = "Time after which a request is passed to no other server; 0: no limit."},
    {.name = "fastcgi_ignore_client_abort",
     .scopes = kHttpServerLocation,
     .set = store_flag<kFastcgi, &FastcgiAction::ignore_client_abort>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether a request goes on whose client has closed its side of the connection.  If not, its answer is still "
             "sent when it comes within a second, for clients that only close their half."},
    {.name = "fastcgi_intercept_errors",
     .scopes = kHttpServerLocation,
     .set = store_flag<kFastcgi, &FastcgiAction::intercept_errors>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether an application's answers with statuses that error_page knows are replaced by what it says."},
    {.name = "fastcgi_hide_header",
     .scopes = kHttpServerLocation,
     .repeatable = true,
     .set = store_hidden<kFastcgi>,
     .syntax = "field",
     .help = "A field of responses that is not passed on, besides X-Accel-..."},
    {.name = "fastcgi_pass_header",
     .scopes = kHttpServerLocation,
     .repeatable = true,
     .set = store_passed<kFastcgi>,
     .syntax = "field",
     .help = "A field of responses that is passed on although it would be left out: X-Accel-...  Fields that belong "
             "to one connection never are."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> fastcgi_directives() {
  return kRows;
}

}  // namespace beamgate::config
