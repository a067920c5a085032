#include "worker/http/router.h"

#include "common/config/regex.h"
#include "worker/http/location_search.h"

namespace beamgate::http {
namespace {

using config::Server;

const Server* lookup(const std::unordered_map<std::string, const Server*>& map, std::string_view key) {
  if (map.empty()) return nullptr;
  const auto found = map.find(std::string(key));
  return found == map.end() ? nullptr : found->second;
}

// "a.b.x" tries "b.x", then "x".
const Server* find_head(const std::unordered_map<std::string, const Server*>& heads, std::string_view host) {
  for (size_t dot = host.find('.'); dot != host.npos; dot = host.find('.', dot + 1)) {
    if (const Server* server = lookup(heads, host.substr(dot + 1))) return server;
  }
  return nullptr;
}

// "x.y.z" tries "x.y", then "x".
const Server* find_tail(const std::unordered_map<std::string, const Server*>& tails, std::string_view host) {
  for (size_t dot = host.rfind('.'); dot != host.npos && dot > 0; dot = host.rfind('.', dot - 1)) {
    if (const Server* server = lookup(tails, host.substr(0, dot))) return server;
  }
  return nullptr;
}

}  // namespace

Router::Router(std::shared_ptr<const config::Config> config) : config_(std::move(config)) {
  for (const Server& server : config_->http.servers) {
    for (const config::Listen& listen : server.listens) {
      Names& names = listens_[listen.id];
      if (names.fallback == nullptr || listen.default_server) names.fallback = &server;
      names.tls = names.tls || listen.tls;
      names.http2 = names.http2 || listen.http2;
      add_names(server, names);
    }
  }
}

// Of two servers with the same name the first counts.
void Router::add_names(const Server& server, Names& names) {
  for (size_t i = 0; i < server.names.size(); ++i) {
    const std::string& name = server.names[i];
    if (i < server.name_regexes.size() && server.name_regexes[i] != nullptr) {
      names.regexes.push_back({server.name_regexes[i].get(), &server});
    } else if (name.starts_with("*.")) {
      names.heads.emplace(name.substr(2), &server);
    } else if (name.ends_with(".*")) {
      names.tails.emplace(name.substr(0, name.size() - 2), &server);
    } else {
      names.exact.emplace(name, &server);
    }
  }
}

const Server& Router::default_server(uint32_t listen_id) const {
  const auto found = listens_.find(listen_id);
  return found == listens_.end() ? empty_ : *found->second.fallback;
}

bool Router::speaks_http2(uint32_t listen_id) const {
  const auto found = listens_.find(listen_id);
  return found != listens_.end() && (found->second.http2 || found->second.fallback->http2);
}

bool Router::speaks_http2(uint32_t listen_id, std::string_view name) const {
  const auto found = listens_.find(listen_id);
  if (found == listens_.end()) return false;
  Groups ignored;
  return found->second.http2 || find_server(found->second, name, ignored).http2;
}

const Server& Router::find_server(const Names& names, std::string_view host, Groups& captures) {
  if (const Server* server = lookup(names.exact, host)) return *server;
  if (const Server* server = find_head(names.heads, host)) return *server;
  if (const Server* server = find_tail(names.tails, host)) return *server;
  for (const NameRegex& candidate : names.regexes) {
    config::Captures groups;
    const Result<bool> matched = candidate.regex->match(host, &groups);
    if (!matched.ok() || !matched.value()) continue;
    append_captures(*candidate.regex, groups, captures);
    return *candidate.server;
  }
  return *names.fallback;
}

std::shared_ptr<const tls::ServerContext> Router::tls_context(uint32_t listen_id) const {
  const auto found = listens_.find(listen_id);
  return found == listens_.end() || !found->second.tls ? nullptr : found->second.fallback->tls;
}

std::shared_ptr<const tls::ServerContext> Router::tls_context(uint32_t listen_id, std::string_view name) const {
  const auto found = listens_.find(listen_id);
  if (found == listens_.end()) return nullptr;
  Groups captures;
  const Server& server = find_server(found->second, name, captures);
  return server.tls != nullptr ? server.tls : found->second.fallback->tls;
}

void Router::route_to_server(uint32_t listen_id, Request& request) const {
  route_to_default(listen_id, request);
  const auto found = listens_.find(listen_id);
  if (found == listens_.end()) return;
  const Server& server = find_server(found->second, request.host, request.captures);
  request.server = &server;
  request.location = &server.fallback;
}

uint16_t Router::route_to_location(Request& request) {
  const LocationMatch match = find_location(request.server->locations, request.path, request.captures);
  request.location = match.location != nullptr ? match.location : &request.server->fallback;
  request.in_place = false;
  return match.status;
}

bool Router::route_to_named(std::string_view name, Request& request) {
  for (const config::Location& location : request.server->locations) {
    if (location.match != config::LocationMatch::Named || location.pattern != name) continue;
    request.location = &location;
    return true;
  }
  return false;
}

void Router::route_to_default(uint32_t listen_id, Request& request) const {
  const Server& server = default_server(listen_id);
  request.config = config_;
  request.server = &server;
  request.location = &server.fallback;
}

}  // namespace beamgate::http
