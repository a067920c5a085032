// Router: which server and which location a request is for, by nginx's rules.
//
// Server     Listen address, then name: exact, longest "*.x", longest "x.*", first regex as written, else the
//            address's default server.
// Order      The server first, then its script, then a location: what calls this may change the path in between.
// Location   Exact; else the longest prefix, whose nested locations are searched the same way; unless it is
//            "^~" the regexes in the order written come before it.
// Owner      Dispatcher; one per configuration generation, which it keeps alive.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/config/model.h"
#include "worker/http/exchange.h"

namespace beamgate::http {

class Router {
 public:
  explicit Router(std::shared_ptr<const config::Config> config);

  const std::shared_ptr<const config::Config>& config() const { return config_; }

  // The server whose limits hold before a name is known.  Never null: a listen address that this generation
  // does not know has an empty server.
  const config::Server& default_server(uint32_t listen_id) const;

  // How TLS is spoken at an address before a name is known, and with one; null: it is not.  A server without a context
  // of its own is spoken for by the address's default server.
  std::shared_ptr<const tls::ServerContext> tls_context(uint32_t listen_id) const;
  std::shared_ptr<const tls::ServerContext> tls_context(uint32_t listen_id, std::string_view name) const;

  // Whether HTTP/2 is spoken there: with the server of this name, or before a name is known.
  bool speaks_http2(uint32_t listen_id) const;
  bool speaks_http2(uint32_t listen_id, std::string_view name) const;

  // Sets request.config, server and location, which is the server's own until one is searched, and captures.
  void route_to_server(uint32_t listen_id, Request& request) const;

  // Sets request.location and captures, by the path.  Returns 0, or 500 when a regex gave up, or 301 when the path
  // lacks the slash that the proxied location behind it ends with.
  static uint16_t route_to_location(Request& request);

  // The same for "@name"; false when the server has none of that name.
  static bool route_to_named(std::string_view name, Request& request);

  // Sets what the default server says, for a request that can't be routed.
  void route_to_default(uint32_t listen_id, Request& request) const;

 private:
  struct NameRegex {
    const config::Regex* regex;
    const config::Server* server;
  };
  // The virtual servers of one listen address.
  struct Names {
    const config::Server* fallback = nullptr;
    bool tls = false;
    bool http2 = false;  // With all servers, whatever they say.
    std::unordered_map<std::string, const config::Server*> exact;
    std::unordered_map<std::string, const config::Server*> heads;  // "*.x" by "x".
    std::unordered_map<std::string, const config::Server*> tails;  // "x.*" by "x".
    std::vector<NameRegex> regexes;
  };

  static void add_names(const config::Server& server, Names& names);
  using Groups = std::vector<std::pair<std::string, std::string>>;  // Request::captures
  static const config::Server& find_server(const Names& names, std::string_view host, Groups& captures);

  std::shared_ptr<const config::Config> config_;
  config::Server empty_;
  std::unordered_map<uint32_t, Names> listens_;
};

}  // namespace beamgate::http
