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

bool is_prefix_match(const config::Location& location) {
  return location.match != config::LocationMatch::Regex && location.match != config::LocationMatch::RegexNoCase;
}

}  // namespace

void append_target(const http::Request& request, const config::ProxyAction& proxy, std::string& out) {
  const bool replaces_prefix =
      proxy.has_uri && !request.in_place && request.location != nullptr && is_prefix_match(*request.location);
  if (!replaces_prefix && !request.rewritten) {
    const std::string_view target = origin_form(request.target);
    if (target.empty() || target[0] == '?') out += '/';
    append_raw(target, out);
    return;
  }
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
  if (target.name.empty()) target.name = proxy.tls_host;
  return target;
}

}  // namespace beamgate::upstream
