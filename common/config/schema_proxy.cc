#include <algorithm>

#include "common/config/backend_values.h"
#include "common/config/field.h"
#include "common/config/network.h"
#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

// The parts of "http://host[:port][/uri]" or "http://unix:/path[:/uri]"; https:// likewise.
struct Target {
  bool https = false;
  std::string authority;  // "host", "host:port" or "unix:/path".
  std::string uri;
  bool has_uri = false;
};

// Where a URI begins; these variables are one.
size_t authority_end(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '/' || text[i] == '?') return i;
    if (text[i] != '$') continue;
    const bool braced = text.substr(i + 1).starts_with('{');
    const size_t from = i + (braced ? 2 : 1);
    const size_t end = std::find_if_not(text.begin() + from, text.end(), is_variable_byte) - text.begin();
    const std::string_view name = text.substr(from, end - from);
    if (name == "uri" || name == "request_uri" || name == "document_uri") return i;
  }
  return text.npos;
}

bool split_target(std::string_view text, Target& out, std::string& error) {
  out.https = text.starts_with("https://");
  const std::string_view scheme = out.https ? "https://" : "http://";
  if (!text.starts_with(scheme)) {
    error = "expected http://host[:port][/uri], http://upstream or http://unix:/path[:/uri], or https://...";
    return false;
  }
  text.remove_prefix(scheme.size());
  const bool is_unix = text.starts_with("unix:");
  const size_t end = is_unix ? text.find(':', 5) : authority_end(text);
  out.authority = text.substr(0, end);
  if (end == std::string_view::npos) return true;
  out.has_uri = true;
  out.uri = text.substr(is_unix ? end + 1 : end);
  if (out.uri.starts_with('?')) out.uri.insert(0, "/");
  if (!out.uri.starts_with('/') && !out.uri.starts_with('$')) error = "expected a URI that starts with \"/\"";
  const bool plain =
      std::all_of(out.uri.begin(), out.uri.end(), [](char c) { return c > 0x20 && c != 0x7f; });
  if (!plain) error = "the URI has a space or control byte";
  return error.empty();
}

// What the default Host header says, as in nginx: no port when it is the scheme's, "localhost" for a unix socket.
std::string host_of(const std::string& authority, bool https) {
  if (authority.starts_with("unix:")) return "localhost";
  const std::string_view usual = https ? ":443" : ":80";
  return authority.ends_with(usual) ? authority.substr(0, authority.size() - usual.size()) : authority;
}

std::string name_of(const std::string& authority) {
  std::string host;
  std::optional<uint16_t> port;
  std::string error;
  return !authority.starts_with("unix:") && split_authority(authority, host, port, error) ? host : "localhost";
}

bool has_variable(std::string_view text) { return text.find('$') != text.npos; }

void set_proxy_pass(Setting& setting) {
  Target target;
  std::string error;
  if (!split_target(setting.arg(), target, error)) return setting.fail(0, error);
  const LocationMatch match = setting.frame.location->match;
  const bool by_regex = match == LocationMatch::Regex || match == LocationMatch::RegexNoCase;
  const bool varies = has_variable(setting.arg());
  if (target.has_uri && !varies && (by_regex || match == LocationMatch::Named || setting.frame.scope == kLocationIf)) {
    return setting.fail(0, "no URI part can stand here without variables, in a location that is named or given by a "
                           "regular expression, or in \"if\"");
  }
  if (target.authority.starts_with("unix:")) {
    target.authority = "unix:" + setting.loader.absolute(target.authority.substr(5));
    setting.replace(0, (target.https ? "https://" : "http://") + target.authority + (target.has_uri ? ":" + target.uri : ""));
  }
  ProxyAction& proxy = setting.frame.location->proxy;
  std::string authority = target.authority;
  proxy.forget_target();
  proxy.https = target.https;
  proxy.has_uri = target.has_uri && !varies;
  if (proxy.has_uri) proxy.uri = target.uri;
  if (varies && !setting.parse_template(0, target.uri, proxy.uri_template)) return;
  setting.choose(Action::Proxy);
  if (has_variable(authority)) {
    if (authority.starts_with("unix:")) return setting.fail(0, "the path of a unix socket can't have variables");
    if (!setting.parse_template(0, authority, proxy.host_template)) return;
    setting.loader.varied_hosts.emplace_back(proxy.host_template, setting.at(0));
    return;
  }
  const bool is_named = setting.loader.config->http.upstreams.contains(authority);
  if (target.https && !is_named && !authority.starts_with("unix:") && !has_port(authority)) authority += ":443";
  proxy.upstream = find_upstream(setting, authority, 80, error);
  if (proxy.upstream == nullptr) return setting.fail(0, error);
  proxy.tls_host = name_of(target.authority);
  proxy.host = host_of(target.authority, target.https);
}

void add_header(Setting& setting) {
  std::vector<NameValue>& headers = setting.frame.location->proxy.set_headers;
  if (setting.first(setting.row.name)) headers.clear();
  store_field(setting, headers);
}

void set_http_version(Setting& setting) {
  if (setting.arg() != "1.0" && setting.arg() != "1.1") return setting.fail(0, "expected \"1.0\" or \"1.1\"");
  setting.frame.location->proxy.http_minor = setting.arg() == "1.1" ? 1 : 0;
}

// "off", or "from to"; a redirect's also "default".
void add_rewrite(Setting& setting, std::vector<ProxyRewrite>& to, bool may_be_standard) {
  if (setting.first(setting.row.name)) to.clear();
  ProxyRewrite rewrite;
  if (setting.count() == 1) {
    if (setting.arg() == "off") return to.clear();
    if (!may_be_standard || setting.arg() != "default") {
      return setting.fail(0, may_be_standard ? "expected \"default\", \"off\" or two values"
                                             : "expected \"off\" or two values");
    }
    rewrite.standard = true;
  } else {
    if (setting.arg().starts_with('~')) return setting.fail(0, "regular expressions are not supported here");
    if (!setting.parse_template(0, rewrite.from) || !setting.parse_template(1, rewrite.to)) return;
  }
  to.push_back(std::move(rewrite));
}

void add_redirect(Setting& setting) { add_rewrite(setting, setting.frame.location->proxy.redirects, true); }

void add_cookie_domain(Setting& setting) {
  add_rewrite(setting, setting.frame.location->proxy.cookie_domains, false);
}

void add_cookie_path(Setting& setting) { add_rewrite(setting, setting.frame.location->proxy.cookie_paths, false); }

void set_proxy_protocol(Setting& setting) {
  int& version = setting.frame.location->proxy.proxy_protocol;
  if (setting.arg() == "off") {
    version = 0;
  } else if (setting.arg() == "on" || setting.arg() == "v1") {
    version = 1;
  } else if (setting.arg() == "v2") {
    version = 2;
  } else {
    setting.fail(0, "expected \"on\", \"off\", \"v1\" or \"v2\"");
  }
}

constexpr auto kProxy = &Location::proxy;

constexpr Directive kRows[] = {
    {.name = "proxy_pass",
     .scopes = kLocation | kLocationIf,
     .set = set_proxy_pass,
     .syntax = "http://host[:port][/uri] | http://upstream[/uri] | http://unix:path[:/uri] | https://...",
     .help =
         "Passes requests on.  With a URI, it takes the place of the location's prefix.  Names are resolved "
         "when the configuration is read.  With https://, servers are spoken to as proxy_ssl_... says.  Behind the "
         "scheme there may be variables.  What stands for the host has to be an upstream of the configuration then, or "
         "what another proxy_pass names, for nobody else is spoken to; else the answer is 502.  A URI with "
         "variables is the whole URI, arguments included, and is passed on as it is, but for bytes that can't stand in a "
         "request."},
    {.name = "proxy_set_header",
     .scopes = kHttpServerLocation,
     .arity = exactly(2),
     .repeatable = true,
     .set = add_header,
     .syntax = "field value",
     .help = "Sets a field of the request that is passed on; an empty value removes it.  Inherited only by "
             "blocks without a proxy_set_header of their own.  Unless set here, an application is sent X-Real-IP and "
             "X-Forwarded-For (the client's address), X-Forwarded-Proto (its scheme) and X-Forwarded-Host (its Host), in place "
             "of what the client says in them; what a proxy in set_real_ip_from says is continued.  "
             "\"proxy_set_header X-Real-IP '';\" leaves one of them out."},
    {.name = "proxy_connect_timeout",
     .scopes = kHttpServerLocation,
     .set = store_time<kProxy, &ProxyAction::connect_timeout_ms>,
     .syntax = "time",
     .fallback = "60s",
     .min = "1ms",
     .max = "1d",
     .help = "Time to connect to a server."},
    {.name = "proxy_send_timeout",
     .scopes = kHttpServerLocation,
     .set = store_time<kProxy, &ProxyAction::send_timeout_ms>,
     .syntax = "time",
     .fallback = "60s",
     .min = "1ms",
     .max = "1d",
     .help = "Time between two writes to a server."},
    {.name = "proxy_read_timeout",
     .scopes = kHttpServerLocation,
     .set = store_time<kProxy, &ProxyAction::read_timeout_ms>,
     .syntax = "time",
     .fallback = "60s",
     .min = "1ms",
     .max = "30d",
     .help = "Time between two reads from a server."},
    {.name = "proxy_protocol",
     .scopes = kHttpServerLocation,
     .set = set_proxy_protocol,
     .syntax = "on | off | v1 | v2",
     .fallback = "off",
     .help = "Begins each connection to a server with a PROXY protocol header that names the client; on is version 1.  Such "
             "a connection serves one request."},
    {.name = "proxy_buffer_size",
     .scopes = kHttpServerLocation,
     .set = store_bytes<kProxy, &ProxyAction::buffer_bytes>,
     .syntax = "size",
     .fallback = "64k",
     .min = "4k",
     .max = "1g",
     .help = "Most that is held in each direction of one exchange.  A response's head may have 64 KB and 1000 fields, "
             "whatever this says."},
    {.name = "proxy_next_upstream",
     .scopes = kHttpServerLocation,
     .arity = at_least(1),
     .set = store_next_upstream<kProxy>,
     .syntax = kNextUpstreamSyntax,
     .fallback = "error timeout",
     .help = "When a request is passed to the next server: after a failure to connect, send or read (error), a "
             "timeout, an invalid response, or a response with one of these statuses; and only while nothing of "
             "a response has been passed on, the request is still held as a whole, and either nothing of it has "
             "been sent or its method is GET, HEAD, OPTIONS, PUT or DELETE, unless non_idempotent is given.  "
             "The first three always count as failures of the server, a 5xx or 429 when listed."},
    {.name = "proxy_next_upstream_tries",
     .scopes = kHttpServerLocation,
     .set = store_number<kProxy, &ProxyAction::next_upstream_tries>,
     .syntax = "number",
     .fallback = "0",
     .min = "0",
     .max = "1000000",
     .help = "Servers that a request is passed to at most; 0: each once."},
    {.name = "proxy_next_upstream_timeout",
     .scopes = kHttpServerLocation,
     .set = store_time<kProxy, &ProxyAction::next_upstream_timeout_ms>,
     .syntax = "time",
     .fallback = "0",
     .min = "0",
     .max = "1d",
     .help = "Time after which a request is passed to no other server; 0: no limit."},
    {.name = "proxy_http_version",
     .scopes = kHttpServerLocation,
     .set = set_http_version,
     .syntax = "1.0 | 1.1",
     .fallback = "1.1",
     .help = "The version that requests to servers say.  With 1.0 a body of unknown length is read as a whole "
             "first, as by proxy_request_buffering on, and connections are not kept."},
    {.name = "proxy_request_buffering",
     .scopes = kHttpServerLocation,
     .set = store_flag<kProxy, &ProxyAction::request_buffering>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "On: a request is passed on when its body has been read as a whole, into a nameless file in "
             "proxy_temp_path where it is larger than proxy_buffer_size; it can then be passed to another server.  "
             "Off: a body larger than proxy_buffer_size is passed on as it comes."},
    {.name = "proxy_temp_path",
     .scopes = kHttpServerLocation,
     .set = store_path<kProxy, &ProxyAction::temp_path>,
     .syntax = "path",
     .fallback = "/tmp",
     .help = "The directory in which request bodies are held by proxy_request_buffering; the workers write to it."},
    {.name = "proxy_pass_trailers",
     .scopes = kHttpServerLocation,
     .set = store_flag<kProxy, &ProxyAction::pass_trailers>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether the trailer fields of chunked responses are passed on; servers are then told so by TE."},
    {.name = "proxy_hide_header",
     .scopes = kHttpServerLocation,
     .repeatable = true,
     .set = store_hidden<kProxy>,
     .syntax = "field",
     .help = "A field of responses that is not passed on, besides Date, Server, X-Pad and X-Accel-..."},
    {.name = "proxy_pass_header",
     .scopes = kHttpServerLocation,
     .repeatable = true,
     .set = store_passed<kProxy>,
     .syntax = "field",
     .help = "A field of responses that is passed on although it would be left out: Date, Server, X-Pad and "
             "X-Accel-... by default.  Fields that belong to one connection never are."},
    {.name = "proxy_redirect",
     .scopes = kHttpServerLocation,
     .arity = between(1, 2),
     .repeatable = true,
     .set = add_redirect,
     .syntax = "default | off | redirect replacement",
     .fallback = "default",
     .help = "How the Location and Refresh of responses are changed: what begins with redirect begins with "
             "replacement instead; the first that fits.  default turns the server's own address, as proxy_pass "
             "says it, into the location's.  Both may contain variables; regular expressions are not supported."},
    {.name = "proxy_cookie_domain",
     .scopes = kHttpServerLocation,
     .arity = between(1, 2),
     .repeatable = true,
     .set = add_cookie_domain,
     .syntax = "off | domain replacement",
     .help = "How the Domain of a response's cookies is changed; a leading dot is ignored, as is case."},
    {.name = "proxy_cookie_path",
     .scopes = kHttpServerLocation,
     .arity = between(1, 2),
     .repeatable = true,
     .set = add_cookie_path,
     .syntax = "off | path replacement",
     .help = "How the Path of a response's cookies is changed: what begins with path begins with replacement "
             "instead."},
    {.name = "proxy_ignore_client_abort",
     .scopes = kHttpServerLocation,
     .set = store_flag<kProxy, &ProxyAction::ignore_client_abort>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether a request goes on whose client has closed its side of the connection.  If not, its answer is still "
             "sent when it comes within a second, for clients that only close their half."},
    {.name = "proxy_intercept_errors",
     .scopes = kHttpServerLocation,
     .set = store_flag<kProxy, &ProxyAction::intercept_errors>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether an application's answers with statuses that error_page knows are replaced by what it says."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> proxy_directives() {
  return kRows;
}

}  // namespace beamgate::config
