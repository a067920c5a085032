#include <algorithm>

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

bool split_target(std::string_view text, Target& out, std::string& error) {
  out.https = text.starts_with("https://");
  const std::string_view scheme = out.https ? "https://" : "http://";
  if (!text.starts_with(scheme)) {
    error = "expected http://host[:port][/uri], http://upstream or http://unix:/path[:/uri], or https://...";
    return false;
  }
  if (text.find('$') != std::string_view::npos) {
    error = "variables are not supported here";
    return false;
  }
  text.remove_prefix(scheme.size());
  const bool is_unix = text.starts_with("unix:");
  const size_t end = is_unix ? text.find(':', 5) : text.find_first_of("/?");
  out.authority = text.substr(0, end);
  if (end == std::string_view::npos) return true;
  out.has_uri = true;
  out.uri = text.substr(is_unix ? end + 1 : end);
  if (out.uri.starts_with('?')) out.uri.insert(0, "/");
  if (!out.uri.starts_with('/')) error = "expected a URI that starts with \"/\"";
  const bool plain =
      std::all_of(out.uri.begin(), out.uri.end(), [](char c) { return c > 0x20 && c != 0x7f; });
  if (!plain) error = "the URI has a space or control byte";
  return error.empty();
}

bool has_port(const std::string& authority) {
  std::string host;
  std::optional<uint16_t> port;
  std::string error;
  return split_authority(authority, host, port, error) && port.has_value();
}

// The upstream block of this name, or one made of the authority's addresses.
std::shared_ptr<const Upstream> find_upstream(Setting& setting, std::string authority, bool https,
                                              std::string& error) {
  auto& upstreams = setting.loader.config->http.upstreams;
  if (const auto block = upstreams.find(authority); block != upstreams.end()) return block->second;
  if (https && !authority.starts_with("unix:") && !has_port(authority)) authority += ":443";
  if (const auto known = upstreams.find(authority); known != upstreams.end()) return known->second;
  std::vector<Address> addresses;
  if (!server_addresses(authority, 80, setting.loader.names, addresses, error)) return nullptr;

  auto upstream = std::make_shared<Upstream>();
  upstream->name = authority;
  Frame frame;
  frame.scope = kUpstream;
  frame.upstream = upstream.get();
  setting.loader.set_fallbacks(frame);
  Statement block;
  block.name.text = "upstream";
  block.args.push_back({authority, {}});
  block.block = true;
  for (const Address& address : addresses) {
    upstream->servers.push_back({.address = address});
    Statement server;
    server.name.text = "server";
    server.args.push_back({address.text, {}});
    block.children.push_back(std::move(server));
  }
  setting.loader.implicit_upstreams.push_back(std::move(block));
  upstreams.emplace(authority, upstream);
  return upstream;
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

void set_proxy_pass(Setting& setting) {
  Target target;
  std::string error;
  if (!split_target(setting.arg(), target, error)) return setting.fail(0, error);
  const LocationMatch match = setting.frame.location->match;
  if (target.has_uri && (match == LocationMatch::Regex || match == LocationMatch::RegexNoCase)) {
    return setting.fail(0, "a location given by a regular expression can't have a URI part here");
  }
  if (target.authority.starts_with("unix:")) {
    target.authority = "unix:" + setting.loader.absolute(target.authority.substr(5));
    setting.replace(0, (target.https ? "https://" : "http://") + target.authority + (target.has_uri ? ":" + target.uri : ""));
  }
  ProxyAction& proxy = setting.frame.location->proxy;
  proxy.upstream = find_upstream(setting, target.authority, target.https, error);
  if (proxy.upstream == nullptr) return setting.fail(0, error);
  proxy.https = target.https;
  proxy.tls_host = name_of(target.authority);
  proxy.host = host_of(target.authority, target.https);
  proxy.has_uri = target.has_uri;
  proxy.uri = target.uri;
  setting.choose(Action::Proxy);
}

void add_header(Setting& setting) {
  std::vector<NameValue>& headers = setting.frame.location->proxy.set_headers;
  if (setting.first(setting.row.name)) headers.clear();
  store_field(setting, headers);
}

constexpr auto kProxy = &Location::proxy;

constexpr Directive kRows[] = {
    {.name = "proxy_pass",
     .scopes = kLocation,
     .set = set_proxy_pass,
     .syntax = "http://host[:port][/uri] | http://upstream[/uri] | http://unix:path[:/uri] | https://...",
     .help =
         "Passes requests on.  With a URI, it takes the place of the location's prefix.  Names are resolved "
         "when the configuration is read.  With https://, servers are spoken to as proxy_ssl_... says."},
    {.name = "proxy_set_header",
     .scopes = kHttpServerLocation,
     .arity = exactly(2),
     .repeatable = true,
     .set = add_header,
     .syntax = "field value",
     .help = "Sets a field of the request that is passed on; an empty value removes it.  Inherited only by "
             "blocks without a proxy_set_header of their own."},
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
    {.name = "proxy_buffer_size",
     .scopes = kHttpServerLocation,
     .set = store_bytes<kProxy, &ProxyAction::buffer_bytes>,
     .syntax = "size",
     .fallback = "64k",
     .min = "4k",
     .max = "1g",
     .help = "Most that is held in each direction of one exchange; a response's head has to fit."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> proxy_directives() {
  return kRows;
}

}  // namespace beamgate::config
