#include "worker/http/client_address.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstring>

#include "common/base/bytes.h"
#include "worker/record/counted_address.h"

namespace beamgate::http {
namespace {

size_t address_bytes(int family) {
  return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

bool same_prefix(const unsigned char* a, const unsigned char* b, unsigned bits) {
  const unsigned whole = bits / 8;
  if (memcmp(a, b, whole) != 0) return false;
  if (bits % 8 == 0) return true;
  const unsigned mask = 0xff00u >> (bits % 8) & 0xffu;
  return (a[whole] & mask) == (b[whole] & mask);
}

// ::ffff:a.b.c.d is the IPv4 address it holds.
void unmap(ClientAddress& address) {
  if (address.family != AF_INET6 || !record::is_mapped_ipv4(address.bytes)) return;
  address.family = AF_INET;
  memmove(address.bytes, address.bytes + 12, 4);
  memset(address.bytes + 4, 0, sizeof address.bytes - 4);
}

// Cuts off a port.
std::string_view host_part(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    return end == text.npos ? std::string_view() : text.substr(1, end - 1);
  }
  const size_t colon = text.find(':');
  return colon != text.npos && text.find(':', colon + 1) == text.npos ? text.substr(0, colon) : text;
}

}  // namespace

ClientAddress ClientAddress::of(const record::Record& record) {
  ClientAddress out;
  out.family = record.peer_family;
  memcpy(out.bytes, record.peer_address, sizeof out.bytes);
  unmap(out);
  return out;
}

bool ClientAddress::parse(std::string_view text, ClientAddress& out) {
  const std::string_view host = host_part(trim(text));
  char copy[INET6_ADDRSTRLEN] = {};
  if (host.empty() || host.size() >= sizeof copy) return false;
  memcpy(copy, host.data(), host.size());
  ClientAddress parsed;
  if (inet_pton(AF_INET, copy, parsed.bytes) == 1) {
    parsed.family = AF_INET;
  } else if (inet_pton(AF_INET6, copy, parsed.bytes) == 1) {
    parsed.family = AF_INET6;
  } else {
    return false;
  }
  unmap(parsed);
  out = parsed;
  return true;
}

std::string ClientAddress::text() const {
  char out[INET6_ADDRSTRLEN] = {};
  if (address_bytes(family) == 0 || inet_ntop(family, bytes, out, sizeof out) == nullptr) return "unix:";
  return out;
}

bool matches(const config::AccessRule& rule, const ClientAddress& address) {
  if (rule.all) return true;
  if (rule.family != address.family) return false;
  return rule.family == AF_UNIX || same_prefix(rule.address, address.bytes, rule.prefix_bits);
}

bool access_allowed(const std::vector<config::AccessRule>& rules, const ClientAddress& address) {
  for (const config::AccessRule& rule : rules) {
    if (matches(rule, address)) return rule.allow;
  }
  return true;
}

bool is_trusted(const std::vector<config::AccessRule>& rules, const ClientAddress& address) {
  for (const config::AccessRule& rule : rules) {
    if (matches(rule, address)) return rule.allow;
  }
  return false;
}

}  // namespace beamgate::http
