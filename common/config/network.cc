#include "common/config/network.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "common/base/bytes.h"

namespace beamgate::config {
namespace {

bool parse_port(std::string_view text, uint16_t& out) {
  uint64_t port = 0;
  if (text.size() > 5 || !parse_decimal(text, port) || port > 65535) return false;
  out = static_cast<uint16_t>(port);
  return true;
}

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

void set_text(Address& address) {
  char host[INET6_ADDRSTRLEN] = {};
  if (address.storage.ss_family == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address.storage);
    inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host);
    address.text = "[" + std::string(host) + "]:" + std::to_string(ntohs(in6.sin6_port));
  } else {
    const auto& in4 = reinterpret_cast<const sockaddr_in&>(address.storage);
    inet_ntop(AF_INET, &in4.sin_addr, host, sizeof host);
    address.text = std::string(host) + ":" + std::to_string(ntohs(in4.sin_port));
  }
}

void set_port(Address& address, uint16_t port) {
  if (address.storage.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(address.storage).sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in&>(address.storage).sin_port = htons(port);
  }
  set_text(address);
}

bool resolve(const std::string& host, uint16_t port, Names names, std::vector<Address>& out,
             std::string& error) {
  Address numeric;
  if (numeric_address(host, port, numeric)) {
    out.push_back(numeric);
    return true;
  }
  if (names == Names::Refuse) {
    error = "expected a numeric address";
    return false;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  int rc = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (rc == EAI_NONAME || rc == EAI_NODATA || rc == EAI_ADDRFAMILY) {
    // A host with nothing but loopback has no configured family: "localhost" must still be found.
    hints.ai_flags = 0;
    rc = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  }
  if (rc != 0) {
    error = "host not found: " + std::string(gai_strerror(rc));
    return false;
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, &freeaddrinfo);
  for (const addrinfo* entry = list; entry != nullptr && out.size() < kAddressesMax; entry = entry->ai_next) {
    if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
    Address address;
    memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.length = entry->ai_addrlen;
    set_port(address, port);
    out.push_back(address);
  }
  if (out.empty()) error = "host has no address";
  return !out.empty();
}

bool is_host(std::string_view host) {
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

// Clears what lies below the prefix; true when something did.
bool clear_low_bits(unsigned char* address, unsigned bits, unsigned prefix_bits) {
  bool cleared = false;
  for (unsigned bit = prefix_bits; bit < bits; ++bit) {
    const auto mask = static_cast<unsigned char>(0x80u >> (bit % 8));
    if ((address[bit / 8] & mask) == 0) continue;
    address[bit / 8] = static_cast<unsigned char>(address[bit / 8] & ~mask);
    cleared = true;
  }
  return cleared;
}

}  // namespace

bool unix_address(std::string_view path, Address& out, std::string& error) {
  auto& address = reinterpret_cast<sockaddr_un&>(out.storage);
  if (path.empty()) {
    error = "expected a path after \"unix:\"";
    return false;
  }
  if (path.size() >= sizeof address.sun_path) {
    error = "the path of a unix socket has at most " + std::to_string(sizeof address.sun_path - 1) + " bytes";
    return false;
  }
  out.storage = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  out.text = "unix:" + std::string(path);
  return true;
}

bool numeric_address(const std::string& host, uint16_t port, Address& out) {
  in_addr in4{};
  in6_addr in6{};
  out.storage = {};
  if (inet_pton(AF_INET, host.c_str(), &in4) == 1) {
    auto& address = reinterpret_cast<sockaddr_in&>(out.storage);
    address.sin_family = AF_INET;
    address.sin_addr = in4;
    out.length = sizeof address;
  } else if (inet_pton(AF_INET6, host.c_str(), &in6) == 1) {
    auto& address = reinterpret_cast<sockaddr_in6&>(out.storage);
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6;
    out.length = sizeof address;
  } else {
    return false;
  }
  set_port(out, port);
  return true;
}

bool split_authority(std::string_view text, std::string& host, std::optional<uint16_t>& port,
                     std::string& error) {
  port.reset();
  std::string_view rest;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    in6_addr ignored{};
    if (close == std::string_view::npos) {
      error = "expected \"]\" after an IPv6 address";
      return false;
    }
    host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
    if (inet_pton(AF_INET6, host.c_str(), &ignored) != 1) {
      error = "invalid IPv6 address";
      return false;
    }
  } else {
    const size_t colon = text.find(':');
    host = text.substr(0, colon);
    if (colon != std::string_view::npos) rest = text.substr(colon);
    if (!is_host(host) && host != "*") {
      error = "expected a host";
      return false;
    }
  }
  if (rest.empty()) return true;
  uint16_t number = 0;
  if (rest[0] == ':' && parse_port(rest.substr(1), number)) {
    port = number;
    return true;
  }
  error = "expected a port from 0 to 65535";
  return false;
}

bool listen_addresses(std::string_view text, Names names, std::vector<Address>& out, std::string& error) {
  if (text.starts_with("unix:")) {
    out.emplace_back();
    return unix_address(text.substr(5), out.back(), error);
  }
  std::string host = "*";
  std::optional<uint16_t> port;
  uint16_t number = 0;
  if (is_digits(text)) {
    if (!parse_port(text, number)) {
      error = "expected a port from 0 to 65535";
      return false;
    }
    port = number;
  } else if (!split_authority(text, host, port, error)) {
    return false;
  }
  if (host == "*") host = "0.0.0.0";
  return resolve(host, port.value_or(80), names, out, error);
}

bool server_addresses(std::string_view text, uint16_t default_port, Names names, std::vector<Address>& out,
                      std::string& error) {
  if (text.starts_with("unix:")) {
    out.emplace_back();
    return unix_address(text.substr(5), out.back(), error);
  }
  std::string host;
  std::optional<uint16_t> port;
  if (!split_authority(text, host, port, error)) return false;
  if (host == "*") {
    error = "expected a host";
    return false;
  }
  return resolve(host, port.value_or(default_port), names, out, error);
}

bool parse_access_rule(std::string_view text, AccessRule& out, bool& low_bits) {
  low_bits = false;
  if (text == "all") {
    out.all = true;
    return true;
  }
  if (text == "unix:") {
    out.family = AF_UNIX;
    return true;
  }
  const size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  unsigned bits = 0;
  if (inet_pton(AF_INET, host.c_str(), out.address) == 1) {
    out.family = AF_INET;
    bits = 32;
  } else if (inet_pton(AF_INET6, host.c_str(), out.address) == 1) {
    out.family = AF_INET6;
    bits = 128;
  } else {
    return false;
  }
  uint64_t prefix_bits = bits;
  if (slash != std::string_view::npos &&
      (!parse_decimal(text.substr(slash + 1), prefix_bits) || prefix_bits > bits)) {
    return false;
  }
  out.prefix_bits = static_cast<unsigned>(prefix_bits);
  low_bits = clear_low_bits(out.address, bits, out.prefix_bits);
  return true;
}

}  // namespace beamgate::config
