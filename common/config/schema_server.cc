#include <unistd.h>

#include <algorithm>

#include "common/base/bytes.h"
#include "common/config/doubts.h"
#include "common/config/network.h"
#include "common/config/regex.h"
#include "common/config/schema.h"
#include "common/config/store.h"
#include "common/config/tls_contexts.h"

namespace beamgate::config {
namespace {

constexpr uint64_t kBacklogMax = 1 << 20;

// What one "listen" says about all of its addresses.
struct ListenParameters {
  int backlog = 511;
  bool ipv6_only = true;
  bool default_server = false;
  bool proxy_protocol = false;
  bool options = false;
  bool tls = false;
  bool http2 = false;
};

bool read_parameter(Setting& setting, size_t i, ListenParameters& out) {
  const std::string& text = setting.arg(i);
  // Each worker has a socket of its own for each address, so these two only say what is so anyway.
  if (text == "reuseport" || text == "bind") return true;
  if (text == "ssl") {
    out.tls = true;
    return true;
  }
  if (text == "http2") {
    out.http2 = true;
    return true;
  }
  if (text == "default_server" || text == "default") {
    out.default_server = true;
    return true;
  }
  if (text == "proxy_protocol") {
    out.proxy_protocol = true;
    return true;
  }
  if (text == "ipv6only=on" || text == "ipv6only=off") {
    out.ipv6_only = text == "ipv6only=on";
    out.options = true;
    return true;
  }
  if (text.starts_with("backlog=")) {
    const auto backlog = parse_number(std::string_view(text).substr(8));
    if (backlog.has_value() && *backlog >= 1 && *backlog <= kBacklogMax) {
      out.backlog = static_cast<int>(*backlog);
      out.options = true;
      return true;
    }
    setting.fail(i, "expected a number from 1 to " + std::to_string(kBacklogMax));
    return false;
  }
  // How the kernel serves a socket, not what is served.
  static constexpr std::string_view kIgnored[] = {"deferred", "so_keepalive", "rcvbuf", "sndbuf", "fastopen", "multipath"};
  static constexpr std::string_view kUnsupported[] = {"quic", "setfib", "accept_filter"};
  const std::string name = text.substr(0, text.find('='));
  if (std::find(std::begin(kIgnored), std::end(kIgnored), name) != std::end(kIgnored)) {
    setting.warn_at(setting.at(i), "the parameter \"" + name +
                                       "\" of \"listen\" is ignored: it is left to the kernel's settings");
    return true;
  }
  if (std::find(std::begin(kUnsupported), std::end(kUnsupported), name) != std::end(kUnsupported)) {
    setting.fail(i, "the parameter \"" + name + "\" is not supported");
  } else {
    setting.fail(i, "expected \"ssl\", \"http2\", \"default_server\", \"backlog=number\", \"ipv6only=on|off\", \"proxy_protocol\" or \"reuseport\"");
  }
  return false;
}

// All servers at one address share its socket: options are given once, and one server is the default.
void add_address(Setting& setting, const Address& address, const ListenParameters& parameters) {
  Server& server = *setting.frame.server;
  for (const Listen& other : server.listens) {
    if (other.address.text == address.text) return setting.error("a duplicate listen " + address.text);
  }
  Listen listen;
  listen.address = address;
  listen.id = static_cast<uint32_t>(stable_hash(address.text));
  listen.backlog = parameters.backlog;
  listen.ipv6_only = parameters.ipv6_only;
  listen.default_server = parameters.default_server;
  ListenSeen& seen = setting.loader.listens[address.text];
  if (parameters.options && seen.options) setting.error("duplicate listen options for " + address.text);
  const bool proxy_protocol = seen.listen.proxy_protocol || parameters.proxy_protocol;
  const bool tls = seen.listen.tls || parameters.tls;
  const bool http2 = seen.listen.http2 || parameters.http2;
  if (parameters.options || !seen.options) seen.listen = listen;
  seen.listen.proxy_protocol = proxy_protocol;
  seen.listen.tls = tls;
  seen.listen.http2 = http2;
  if (parameters.tls) setting.loader.tls_at.emplace(address.text, setting.statement.name.at);
  seen.options = seen.options || parameters.options;
  if (parameters.default_server) {
    if (seen.default_server.line != 0) setting.error("a duplicate default server for " + address.text);
    seen.default_server = setting.statement.name.at;
  }
  server.listens.push_back(std::move(listen));
}

void add_listen(Setting& setting) {
  ListenParameters parameters;
  for (size_t i = 1; i < setting.count(); ++i) {
    if (!read_parameter(setting, i, parameters)) return;
  }
  if (setting.arg(0).starts_with("unix:") && setting.arg(0).size() > 5) {
    setting.replace(0, "unix:" + setting.loader.absolute(setting.arg(0).substr(5)));
  }
  std::vector<Address> addresses;
  std::string error;
  if (!listen_addresses(setting.arg(0), setting.loader.names, addresses, error)) return setting.fail(0, error);
  setting.statement.expansion.clear();
  for (const Address& address : addresses) {
    // A resolver may name an address twice, once for each of its sources.
    if (std::find(setting.statement.expansion.begin(), setting.statement.expansion.end(), address.text) !=
        setting.statement.expansion.end()) {
      continue;
    }
    setting.statement.expansion.push_back(address.text);
    add_address(setting, address, parameters);
  }
}

void add_regex_name(Setting& setting, size_t i) {
  Regex::CompileError error;
  const std::string pattern = setting.arg(i).substr(1);
  auto regex = Regex::compile(pattern, true, error);
  if (regex == nullptr || pattern.empty()) {
    return setting.fail(i, pattern.empty() ? "expected a regular expression after \"~\""
                                           : error.text + " at offset " + std::to_string(error.offset));
  }
  for (const Regex::Name& name : regex->names()) {
    setting.frame.captures.push_back(name.name);
    setting.loader.captures.insert(name.name);
  }
  setting.frame.server->names.push_back(setting.arg(i));
  setting.frame.server->name_regexes.push_back(std::move(regex));
}

// A "*" stands for labels at one end: "*.example.com" or "www.example.*".
bool is_server_name(std::string_view name) {
  const size_t star = name.find('*');
  if (name.find_first_of("/ \t\r\n") != std::string_view::npos) return false;
  if (star == std::string_view::npos) return true;
  if (name.find('*', star + 1) != std::string_view::npos) return false;
  return (name.starts_with("*.") && name.size() > 2) || (name.ends_with(".*") && name.size() > 2);
}

std::string own_hostname() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? to_lower(name) : "localhost";
}

void add_server_names(Setting& setting) {
  Server& server = *setting.frame.server;
  const auto add = [&server](std::string name) {
    server.names.push_back(std::move(name));
    server.name_regexes.push_back(nullptr);
  };
  for (size_t i = 0; i < setting.count(); ++i) {
    if (setting.arg(i) == "$hostname") setting.replace(i, own_hostname());
    const std::string name = to_lower(setting.arg(i));
    if (name.starts_with('~')) {
      add_regex_name(setting, i);
    } else if (!is_server_name(name)) {
      setting.fail(i, "expected a host name; \"*\" may stand for its first or last part");
    } else if (name.starts_with('.') && name.size() > 1) {
      add(name.substr(1));
      add("*" + name);
    } else {
      add(name);
    }
  }
}

// Without a listen, a server takes the port that its user may bind; the dump says which.
void listen_by_default(Statement& block) {
  for (const Statement& child : block.children) {
    if (child.name.text == "listen") return;
  }
  Statement statement;
  statement.name = {"listen", block.name.at};
  statement.args.push_back({geteuid() == 0 ? "80" : "8000", block.name.at});
  block.children.insert(block.children.begin(), std::move(statement));
}

void warn_of_conflicts(Setting& setting, const Server& server) {
  for (const Listen& listen : server.listens) {
    for (const std::string& name : server.names) {
      if (setting.loader.names_taken.emplace(listen.address.text, name).second) continue;
      setting.warn_at(setting.statement.name.at,
                      "conflicting server name \"" + name + "\" on " + listen.address.text + ", ignored");
    }
  }
}

void enter_server(Setting& setting) {
  Server server = *setting.frame.server;
  Frame frame;
  frame.scope = kServer;
  frame.parent = &setting.frame;
  frame.server = &server;
  frame.location = &server.fallback;
  frame.script = &server.fallback.script;
  listen_by_default(setting.statement);
  setting.loader.run_block(frame, setting.statement.children);
  if (server.names.empty()) {
    server.names.emplace_back();
    server.name_regexes.emplace_back();
  }
  warn_of_conflicts(setting, server);
  make_tls(setting, server);
  check_named_locations(setting, server);
  order_script(server.fallback.script);
  if (!server.fallback.file.root.empty()) server.fallback.action = Action::Static;
  setting.loader.config->http.servers.push_back(std::move(server));
}

constexpr Directive kRows[] = {
    {.name = "server",
     .scopes = kHttp,
     .arity = exactly(0),
     .body = Body::Block,
     .phase = Phase::Enter,
     .repeatable = true,
     .set = enter_server,
     .help = "A virtual server: found by the address a request came to, then by its Host."},
    {.name = "listen",
     .scopes = kServer,
     .arity = at_least(1),
     .repeatable = true,
     .set = add_listen,
     .syntax =
         "address[:port] | port | unix:path [ssl] [http2] [default_server] [backlog=number] [ipv6only=on|off] "
         "[proxy_protocol] [reuseport]",
     .fallback_help = "80, or 8000 when not root",
     .help =
         "Where connections are accepted.  The default_server, else the first server of an address, answers "
         "requests for names that no server has.  With ssl, all servers of the address speak TLS; with http2, all of them "
         "speak HTTP/2 too, as if each had \"http2 on\".  Each worker has a socket of its own for each address, "
         "which is what reuseport asks for elsewhere.  With proxy_protocol, given by any server of the address, a "
         "connection has to begin with a PROXY protocol header, of version 1 or 2, within client_header_timeout; one "
         "that doesn't is closed.  A TLS handshake comes behind it.  Whether its address becomes the client's is for "
         "set_real_ip_from and real_ip_header.  nginx's deferred, so_keepalive, rcvbuf, sndbuf, fastopen, multipath and bind "
         "are taken and ignored."},
    {.name = "server_name",
     .scopes = kServer,
     .arity = at_least(1),
     .repeatable = true,
     .set = add_server_names,
     .syntax = "name ...",
     .fallback_help = "\"\"",
     .help = "Names of the server: exact, *.example.com, www.example.*, .example.com for both, or ~ and a "
             "regular "
             "expression.  An exact name wins, then the longest with * in front, the longest with * at the "
             "end, the "
             "first regular expression."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> server_directives() {
  return kRows;
}

}  // namespace beamgate::config
