#include "worker/upstream/fields.h"

#include <algorithm>

#include "common/base/bytes.h"

namespace beamgate::upstream {
namespace {

// `prefix` is lower case.
bool has_prefix(std::string_view name, std::string_view prefix) {
  return name.size() >= prefix.size() && iequals(name.substr(0, prefix.size()), prefix);
}

bool is_control(char byte) {
  const auto value = static_cast<unsigned char>(byte);
  return (value < 0x20 && value != '\t') || value == 0x7f;
}

// Written by RequestWriter whatever the client sent.
bool is_written_by_us(std::string_view name) {
  switch (name.size()) {
    case 4:
      return iequals(name, "host");
    case 6:
      return iequals(name, "expect");
    case 9:
      return iequals(name, "x-real-ip");
    case 14:
      return iequals(name, "content-length");
    case 15:
      return iequals(name, "x-forwarded-for");
    case 16:
      return iequals(name, "x-forwarded-host");
    case 17:
      return iequals(name, "x-forwarded-proto");
    default:
      return false;
  }
}

// "Proxy" becomes HTTP_PROXY in CGI-style applications and would redirect their own requests.
bool is_spoofable(std::string_view name, bool trusted_peer) {
  switch (name.empty() ? 0 : name[0] | 0x20) {
    case 'b':
      return has_prefix(name, "beamgate-");
    case 'c':
      return has_prefix(name, "ce-");
    case 'f':
      return iequals(name, "forwarded");
    case 'p':
      return iequals(name, "proxy");
    case 'w':
      return has_prefix(name, "webhook-");
    case 'x':
      return !trusted_peer && has_prefix(name, "x-forwarded-");
    default:
      return false;
  }
}

}  // namespace

bool is_hop_by_hop(std::string_view name) {
  switch (name.size()) {
    case 2:
      return iequals(name, "te");
    case 7:
      return iequals(name, "upgrade") || iequals(name, "trailer");
    case 10:
      return iequals(name, "connection") || iequals(name, "keep-alive");
    case 14:
      return iequals(name, "http2-settings");
    case 16:
      return iequals(name, "proxy-connection");
    case 17:
      return iequals(name, "transfer-encoding");
    default:
      return false;
  }
}

bool is_dropped_from_request(std::string_view name, bool trusted_peer, bool underscores) {
  if (name.find('_') != std::string_view::npos) {
    std::string dashed(name);
    std::replace(dashed.begin(), dashed.end(), '_', '-');
    return !underscores || is_dropped_from_request(dashed, trusted_peer);
  }
  return is_written_by_us(name) || is_hop_by_hop(name) || is_spoofable(name, trusted_peer);
}

bool is_dropped_from_script(std::string_view name, bool trusted_peer, bool underscores) {
  if (name.find('_') != std::string_view::npos) {
    std::string dashed(name);
    std::replace(dashed.begin(), dashed.end(), '_', '-');
    return !underscores || is_dropped_from_script(dashed, trusted_peer);
  }
  if (!trusted_peer && iequals(name, "x-real-ip")) return true;
  return iequals(name, "transfer-encoding") || is_spoofable(name, trusted_peer);
}

bool is_dropped_from_response(std::string_view name) {
  return iequals(name, "content-length") || is_hop_by_hop(name);
}

bool is_order_for_proxy(std::string_view name) { return has_prefix(name, "x-accel-"); }

bool is_hidden_from_response(std::string_view name) {
  switch (name.size()) {
    case 4:
      return iequals(name, "date");  // The response writer sets Date and Server, as nginx does.
    case 5:
      return iequals(name, "x-pad");
    case 6:
      return iequals(name, "server");
    default:
      return is_order_for_proxy(name);
  }
}

// RFC 9110 section 6.5.1.
bool is_dropped_from_trailers(std::string_view name) {
  if (is_dropped_from_response(name) || is_hidden_from_response(name)) return true;
  for (const std::string_view dropped : {"host", "set-cookie", "location", "authorization", "www-authenticate",
                                         "proxy-authenticate", "cache-control", "vary", "refresh", "age"}) {
    if (iequals(name, dropped)) return true;
  }
  return has_prefix(name, "content-");
}

void append_value(std::string_view value, std::string& out) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  size_t clean = 0;
  for (size_t i = 0; i < value.size(); ++i) {
    if (!is_control(value[i])) continue;
    out.append(value.substr(clean, i - clean));
    const auto byte = static_cast<unsigned char>(value[i]);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
    clean = i + 1;
  }
  out.append(value.substr(clean));
}

bool ConnectionNames::add(std::string_view value) {
  while (!value.empty()) {
    const size_t comma = value.find(',');
    const std::string_view name = trim(value.substr(0, comma));
    value = comma == std::string_view::npos ? std::string_view() : value.substr(comma + 1);
    if (name.empty() || iequals(name, "keep-alive")) continue;
    if (names_.size() == kConnectionNamesMax) return false;
    names_.push_back(name);
  }
  return true;
}

bool ConnectionNames::contains(std::string_view name) const {
  for (const std::string_view named : names_) {
    if (iequals(named, name)) return true;
  }
  return false;
}

}  // namespace beamgate::upstream
