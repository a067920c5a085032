#include <optional>

#include "common/config/network.h"
#include "common/config/schema.h"
#include "common/config/store.h"
#include "common/config/upstream_parameters.h"
#include "common/config/value.h"

namespace beamgate::config {
namespace {

// "host:port" of a server whose host is a name; empty for an address.
std::string name_of(const std::string& text) {
  std::string host;
  std::string error;
  std::optional<uint16_t> port;
  Address address;
  if (text.starts_with("unix:") || !split_authority(text, host, port, error)) return {};
  if (numeric_address(host, 0, address)) return {};
  return host + ":" + std::to_string(port.value_or(80));
}

// The dump names what was resolved, so that a worker that reads it asks no resolver; "resolve" becomes
// "resolve=name:port" there.
void add_server(Setting& setting) {
  UpstreamServer server;
  bool resolve = false;
  for (size_t i = 1; i < setting.count(); ++i) {
    if (!read_server_parameter(setting, i, server, resolve)) return;
  }
  if (server.fail_timeout_ms == 0) server.max_fails = 0;  // It is put aside for no time at all.
  if (resolve && server.resolve.empty()) server.resolve = name_of(setting.arg(0));
  for (size_t i = 1; i < setting.count() && !server.resolve.empty(); ++i) {
    if (setting.arg(i) == "resolve") setting.replace(i, "resolve=" + server.resolve);
  }
  std::vector<Address> addresses;
  std::string error;
  if (setting.arg(0).starts_with("unix:")) {
    setting.replace(0, "unix:" + setting.loader.absolute(setting.arg(0).substr(5)));
  }
  if (!server_addresses(setting.arg(0), 80, setting.loader.names, addresses, error)) {
    if (server.resolve.empty()) return setting.fail(0, error);
    setting.warn_at(setting.at(), "\"" + setting.arg(0) + "\" can't be resolved yet: " + error);
    setting.frame.upstream->servers.push_back(server);
    return;
  }
  for (const Address& address : addresses) {
    server.address = address;
    setting.frame.upstream->servers.push_back(server);
  }
  setting.statement.expansion.clear();
  for (const Address& address : addresses) setting.statement.expansion.push_back(address.text);
}

using Method = Balancing::Method;

// False, after an error, when the block has chosen already.
bool choose_method(Setting& setting, Method method) {
  if (!setting.first("balancing")) {
    setting.error("\"" + setting.statement.name.text + "\" is a second balancing method for this upstream");
    return false;
  }
  setting.frame.upstream->balancing.method = method;
  return true;
}

void set_least_conn(Setting& setting) { choose_method(setting, Method::LeastConn); }

void set_ip_hash(Setting& setting) { choose_method(setting, Method::IpHash); }

void set_hash(Setting& setting) {
  Balancing& balancing = setting.frame.upstream->balancing;
  if (!choose_method(setting, Method::Hash) || !setting.parse_template(0, balancing.key)) return;
  if (setting.count() == 1) return;
  if (setting.arg(1) != "consistent") return setting.fail(1, "expected \"consistent\"");
  balancing.consistent = true;
}

void set_random(Setting& setting) {
  if (!choose_method(setting, Method::Random)) return;
  if (setting.count() > 0 && setting.arg(0) != "two") return setting.fail(0, "expected \"two\"");
  if (setting.count() > 1 && setting.arg(1) != "least_conn") return setting.fail(1, "expected \"least_conn\"");
  setting.frame.upstream->balancing.two = setting.count() > 0;
}

void set_health_check(Setting& setting) {
  HealthCheck& check = setting.frame.upstream->health;
  check.on = true;
  for (size_t i = 0; i < setting.count(); ++i) {
    if (!read_check_parameter(setting, i, check)) return;
  }
}

void set_resolver(Setting& setting) {
  Resolver& resolver = setting.loader.config->http.resolver;
  for (size_t i = 0; i < setting.count(); ++i) {
    const std::string& text = setting.arg(i);
    if (text == "ipv6=off" || text == "ipv6=on") {
      resolver.ipv6 = text == "ipv6=on";
    } else if (text.starts_with("valid=")) {
      const auto valid = parse_time_ms(std::string_view(text).substr(6));
      if (!valid.has_value() || *valid < 100) return setting.fail(i, "expected a time of at least 100ms");
      resolver.valid_ms = *valid;
    } else {
      std::string error;
      if (text.starts_with("unix:") || !server_addresses(text, 53, Names::Refuse, resolver.servers, error)) {
        return setting.fail(i, "expected the address of a name server, \"valid=time\" or \"ipv6=on|off\"");
      }
    }
  }
}

// What a method can't do is refused rather than ignored, as in nginx.
void check_servers(Setting& setting, const Upstream& upstream) {
  const Method method = upstream.balancing.method;
  if (method == Method::RoundRobin || method == Method::LeastConn) return;
  for (const UpstreamServer& server : upstream.servers) {
    if (!server.backup && server.slow_start_ms == 0) continue;
    return setting.error("upstream \"" + upstream.name +
                         "\": \"backup\" and \"slow_start\" can't be used with hash, ip_hash and random");
  }
}

void define_upstream(Setting& setting) {
  auto upstream = std::make_shared<Upstream>();
  upstream->name = setting.arg();
  Frame frame;
  frame.scope = kUpstream;
  frame.parent = &setting.frame;
  frame.upstream = upstream.get();
  setting.loader.set_fallbacks(frame);
  setting.loader.run_block(frame, setting.statement.children);
  if (upstream->name.empty()) return setting.fail(0, "expected a name");
  bool primary = false;
  for (const UpstreamServer& server : upstream->servers) primary = primary || !server.backup;
  if (!primary && !setting.loader.diagnostics.has_errors()) {
    setting.error("no servers are inside upstream \"" + upstream->name + "\"");
  }
  check_servers(setting, *upstream);
  if (!setting.loader.config->http.upstreams.emplace(upstream->name, upstream).second) {
    setting.error("duplicate upstream \"" + upstream->name + "\"");
  }
}

constexpr Directive kRows[] = {
    {.name = "upstream",
     .scopes = kHttp,
     .body = Body::Block,
     .phase = Phase::Define,
     .repeatable = true,
     .set = define_upstream,
     .syntax = "name",
     .help = "Defines a group of servers that proxy_pass http://name uses, in turn unless a balancing method is given."},
    {.name = "server",
     .scopes = kUpstream,
     .arity = at_least(1),
     .repeatable = true,
     .set = add_server,
     .syntax = kServerSyntax,
     .help = "A server: host[:port] or unix:path.  Names are resolved when the configuration is read; a name "
             "with several addresses is several servers.  With resolve, a name is asked for again at run time, "
             "as resolver says; it needn't be known at the start, and an answer that fails leaves the last "
             "addresses in use.  A backup is used when no other can be, one that is down never.  max_fails (1) "
             "failures within fail_timeout (10s) put a server aside for fail_timeout; then one request tries "
             "it; with 0 it never is.  When all are aside they are tried all the same.  max_conns is the most "
             "requests of each worker on the server, slow_start the time in which the weight of a server that "
             "has recovered grows to its full value.  backup and slow_start can't be used with hash, ip_hash "
             "and random."},
    {.name = "least_conn",
     .scopes = kUpstream,
     .arity = exactly(0),
     .set = set_least_conn,
     .help = "The server with the fewest requests for its weight is taken; among equals, in turn."},
    {.name = "ip_hash",
     .scopes = kUpstream,
     .arity = exactly(0),
     .set = set_ip_hash,
     .help = "The client's address decides on the server: the first three bytes of an IPv4 address, a whole IPv6 "
             "address.  When that server can't be used, another one is taken."},
    {.name = "hash",
     .scopes = kUpstream,
     .arity = between(1, 2),
     .set = set_hash,
     .syntax = "key [consistent]",
     .help = "A key with variables decides on the server.  With consistent, the servers stand on a ring, as "
             "Ketama arranges it, so that a server that comes or goes moves few keys."},
    {.name = "random",
     .scopes = kUpstream,
     .arity = between(0, 2),
     .set = set_random,
     .syntax = "[two [least_conn]]",
     .help = "A server drawn by lot, by weight; with two, the one with fewer requests of two that are drawn."},
    {.name = "health_check",
     .scopes = kUpstream,
     .arity = between(0, 8),
     .set = set_health_check,
     .syntax = kHealthCheckSyntax,
     .help = "Every worker asks each server for uri (/) each interval (5s).  After fails (1) answers in a row with "
             "a status outside of status (200-399), or none within timeout (1s), the server gets no requests, "
             "until passes (1) checks in a row have been good; slow_start then applies.  port asks another port "
             "than the server's.  The requests carry the upstream's name as Host.  With fastcgi, servers are asked in "
             "FastCGI for uri as SCRIPT_NAME and SCRIPT_FILENAME, such as php-fpm's ping.path."},
    {.name = "resolver",
     .scopes = kHttp,
     .arity = at_least(1),
     .set = set_resolver,
     .syntax = "[address[:port] ...] [valid=time] [ipv6=on|off]",
     .fallback_help = "the system's resolver, /etc/hosts included",
     .help = "The name servers of \"server name resolve\".  An answer is used as long as it says, within a second "
             "and a day, or as long as valid says.  What fails is asked again after five seconds, or after valid "
             "when that is less."},
    {.name = "resolver_timeout",
     .scopes = kHttp,
     .set = store_time<&Http::resolver, &Resolver::timeout_ms>,
     .syntax = "time",
     .fallback = "30s",
     .min = "1ms",
     .max = "1d",
     .help = "Time for one name to be answered, over all tries and servers."},
    {.name = "keepalive",
     .scopes = kUpstream,
     .set = store_number<&Upstream::keepalive>,
     .syntax = "number",
     .fallback = "64",
     .min = "0",
     .max = "65536",
     .help = "Idle connections that each worker keeps to the servers of the group."},
    {.name = "keepalive_timeout",
     .scopes = kUpstream,
     .set = store_time<&Upstream::keepalive_timeout_ms>,
     .syntax = "time",
     .fallback = "60s",
     .min = "1ms",
     .max = "1d",
     .help = "How long an idle connection to a server is kept."},
    {.name = "keepalive_requests",
     .scopes = kUpstream,
     .set = store_number<&Upstream::keepalive_requests>,
     .syntax = "number",
     .fallback = "10000",
     .min = "1",
     .max = "1000000000",
     .help = "Requests after which a connection to a server is closed."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> upstream_directives() {
  return kRows;
}

}  // namespace beamgate::config
