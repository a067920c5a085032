#include "common/config/network.h"
#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

constexpr uint64_t kWeightMax = 65535;

// One parameter behind the address; false, with an error, when it isn't understood.
bool read_parameter(Setting& setting, size_t i, UpstreamServer& server) {
  const std::string& text = setting.arg(i);
  if (text == "backup") {
    server.backup = true;
    return true;
  }
  if (text == "down") {
    server.down = true;
    return true;
  }
  if (text.starts_with("weight=")) {
    const auto weight = parse_number(std::string_view(text).substr(7));
    if (weight.has_value() && *weight >= 1 && *weight <= kWeightMax) {
      server.weight = static_cast<uint32_t>(*weight);
      return true;
    }
    setting.fail(i, "expected a number from 1 to " + std::to_string(kWeightMax));
    return false;
  }
  setting.fail(i, "expected \"weight=number\", \"backup\" or \"down\"; other parameters are not supported");
  return false;
}

// The dump names what was resolved, so that a worker that reads it asks no resolver.
void add_server(Setting& setting) {
  UpstreamServer server;
  for (size_t i = 1; i < setting.count(); ++i) {
    if (!read_parameter(setting, i, server)) return;
  }
  std::vector<Address> addresses;
  std::string error;
  if (setting.arg(0).starts_with("unix:")) {
    setting.replace(0, "unix:" + setting.loader.absolute(setting.arg(0).substr(5)));
  }
  if (!server_addresses(setting.arg(0), 80, setting.loader.names, addresses, error)) return setting.fail(0, error);
  for (const Address& address : addresses) {
    server.address = address;
    setting.frame.upstream->servers.push_back(server);
  }
  setting.statement.expansion.clear();
  for (const Address& address : addresses) setting.statement.expansion.push_back(address.text);
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
     .help = "Defines a group of servers that proxy_pass http://name uses in turn."},
    {.name = "server",
     .scopes = kUpstream,
     .arity = at_least(1),
     .repeatable = true,
     .set = add_server,
     .syntax = "address [weight=number] [backup] [down]",
     .help = "A server: host[:port] or unix:path.  Names are resolved when the configuration is read; a name "
             "with several addresses is several servers.  A backup is used when no other can be, one that "
             "is down never."},
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
