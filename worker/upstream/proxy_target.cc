#include "worker/upstream/proxy_target.h"

#include "common/base/bytes.h"

namespace beamgate::upstream {
namespace {

void append_percent(char byte, std::string& out) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  const auto value = static_cast<unsigned char>(byte);
  out += '%';
  out += kDigits[value >> 4];
  out += kDigits[value & 15];
}

std::string_view without_port(std::string_view host) {
  const size_t colon = host.rfind(':');
  return colon == host.npos || host.find(']', colon) != host.npos ? host : host.substr(0, colon);
}

bool is_visible_ascii(char byte) { return byte > 0x20 && byte < 0x7f; }

// A decoded path, encoded again: what would end the path or isn't allowed in a URI.
void append_path(std::string_view path, std::string& out) {
  for (const char byte : path) {
    if (is_visible_ascii(byte) && std::string_view("\"#%<>?\\^`{|}").find(byte) == std::string_view::npos) {
      out += byte;
    } else {
      append_percent(byte, out);
    }
  }
}

// Bytes as received: only what can't stand in a request line at all is encoded.
void append_raw(std::string_view text, std::string& out) {
  for (const char byte : text) {
    if (is_visible_ascii(byte)) {
      out += byte;
    } else {
      append_percent(byte, out);
    }
  }
}

// The origin form of a target: scheme and authority of the absolute form go, as does a fragment.
std::string_view origin_form(std::string_view target) {
  target = target.substr(0, target.find('#'));
  const size_t scheme = target.find("://");
  if (target.starts_with('/') || scheme == std::string_view::npos) return target;
  const size_t path = target.find_first_of("/?", scheme + 3);
  return path == std::string_view::npos ? std::string_view() : target.substr(path);
}

void append_origin_form(std::string_view target, std::string& out) {
  const std::string_view wanted = origin_form(target);
  if (wanted.empty() || wanted[0] == '?') out += '/';
  append_raw(wanted, out);
}

bool is_prefix_match(const config::Location& location) {
  return location.match != config::LocationMatch::Regex && location.match != config::LocationMatch::RegexNoCase;
}

}  // namespace

std::shared_ptr<const http::ProxyDestination> find_destination(const http::Request& request, const record::Record& record,
                                                               std::string& host) {
  const config::ProxyAction& proxy = request.location->proxy;
  auto to = std::make_shared<http::ProxyDestination>();
  if (proxy.host_template.empty()) {
    to->upstream = proxy.upstream;
    to->host = proxy.host;
  } else {
    http::expand(proxy.host_template, request, record, host);
    const size_t end = std::min(host.find_first_of("/?"), host.size());
    to->uri = host.substr(end);
    host.resize(end);
    const auto found = request.config->http.upstreams.find(host);
    if (found == request.config->http.upstreams.end()) return nullptr;
    to->upstream = found->second;
    to->host = host;
  }
  http::expand(proxy.uri_template, request, record, to->uri);
  return to;
}

const std::shared_ptr<const config::Upstream>& upstream_of(const http::Request& request,
                                                           const config::BackendAction& action) {
  return request.trace.destination != nullptr ? request.trace.destination->upstream : action.upstream;
}

std::string_view host_of(const http::Request& request, const config::ProxyAction& proxy) {
  return request.trace.destination != nullptr ? request.trace.destination->host : proxy.host;
}

void append_target(const http::Request& request, const config::ProxyAction& proxy, std::string& out) {
  const http::ProxyDestination* varied = request.trace.destination.get();
  if (varied != nullptr && !varied->uri.empty()) return append_origin_form(varied->uri, out);
  const bool replaces_prefix =
      proxy.has_uri && !request.in_place && request.location != nullptr && is_prefix_match(*request.location);
  if (!replaces_prefix && !request.rewritten) return append_origin_form(request.target, out);
  std::string_view path = request.path;
  if (replaces_prefix) {
    out += proxy.uri;
    path.remove_prefix(std::min(path.size(), request.location->pattern.size()));
  }
  append_path(path, out);
  if (request.query.empty()) return;
  out += '?';
  append_raw(std::string_view(request.query).substr(0, request.query.find('#')), out);
}

bool rewrite_location(const config::Location& location, std::string& value) {
  const config::ProxyAction& proxy = location.proxy;
  if (proxy.varies()) return false;
  const bool replaced = proxy.has_uri && is_prefix_match(location);
  const std::string backend = (proxy.tls != nullptr ? "https://" : "http://") + proxy.host + (replaced ? proxy.uri : "/");
  if (!value.starts_with(backend)) return false;
  value.replace(0, backend.size(), replaced ? location.pattern : "/");
  return true;
}

tls::Target tls_target(const http::Request& request, const record::Record& record, const config::ProxyAction& proxy) {
  if (proxy.tls == nullptr) return {};
  tls::Target target{proxy.tls, {}, proxy.tls_server_name};
  http::expand(proxy.tls_name, request, record, target.name);
  if (target.name.empty()) target.name = proxy.tls_host.empty() ? without_port(host_of(request, proxy)) : proxy.tls_host;
  return target;
}

}  // namespace beamgate::upstream
