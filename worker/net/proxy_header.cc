#include "worker/net/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "common/base/bytes.h"

namespace beamgate::net {
namespace {

using record::Endpoint;
using Kind = ProxyHeader::Kind;

constexpr std::string_view kSignature1 = "PROXY ";
constexpr size_t kBytesMax1 = 107;
constexpr std::string_view kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kFixedBytes2 = 16;
constexpr size_t kUnixBytes2 = 216;

ProxyHeader malformed() { return {.kind = Kind::Malformed}; }

bool is_prefix(std::string_view bytes, std::string_view whole) {
  return bytes.substr(0, whole.size()) == whole.substr(0, bytes.size());
}

// The next word and the one space behind it; the last word has none.
bool take_word(std::string_view& rest, bool last, std::string_view& word) {
  const size_t space = rest.find(' ');
  if ((space == rest.npos) != last) return false;
  word = rest.substr(0, space);
  rest = last ? std::string_view() : rest.substr(space + 1);
  return !word.empty();
}

bool read_address(int family, std::string_view word, Endpoint& out) {
  char text[INET6_ADDRSTRLEN] = {};
  if (word.size() >= sizeof text || word.find('\0') != word.npos) return false;  // inet_pton() stops at a NUL.
  memcpy(text, word.data(), word.size());
  out.family = static_cast<uint8_t>(family);
  return inet_pton(family, text, out.address) == 1;
}

bool read_port(std::string_view word, Endpoint& out) {
  uint64_t port = 0;
  if (word.size() > 5 || (word.size() > 1 && word[0] == '0') || !parse_decimal(word, port) || port > 65'535) return false;
  out.port = static_cast<uint16_t>(port);
  return true;
}

// Behind "PROXY ", without CRLF.
bool read_line(std::string_view line, ProxyHeader& out) {
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return true;  // What follows is to be ignored.
  std::string_view protocol, source, destination, source_port, destination_port;
  const bool whole = take_word(line, false, protocol) && take_word(line, false, source) &&
                     take_word(line, false, destination) && take_word(line, false, source_port) &&
                     take_word(line, true, destination_port);
  if (!whole || (protocol != "TCP4" && protocol != "TCP6")) return false;
  const int family = protocol == "TCP4" ? AF_INET : AF_INET6;
  return read_address(family, source, out.source) && read_address(family, destination, out.destination) &&
         read_port(source_port, out.source) && read_port(destination_port, out.destination);
}

ProxyHeader parse_version_1(std::string_view bytes) {
  if (!is_prefix(bytes, kSignature1)) return malformed();
  const size_t end = bytes.substr(0, kBytesMax1).find('\n');
  if (end == bytes.npos) return bytes.size() >= kBytesMax1 ? malformed() : ProxyHeader{};
  const std::string_view line = bytes.substr(0, end);
  // A CR anywhere else is no end of a line, and no part of an address either.
  if (line.size() <= kSignature1.size() || line.find('\r') != line.size() - 1) return malformed();
  ProxyHeader out{.kind = Kind::Complete, .bytes = end + 1};
  return read_line(line.substr(kSignature1.size(), line.size() - 1 - kSignature1.size()), out) ? out : malformed();
}

bool sound_tlvs(std::string_view bytes) {
  constexpr size_t kHeadBytes = 3;
  while (!bytes.empty()) {
    if (bytes.size() < kHeadBytes) return false;
    const size_t length = load_be<uint16_t>(bytes.data() + 1);
    if (length > bytes.size() - kHeadBytes) return false;
    bytes.remove_prefix(kHeadBytes + length);
  }
  return true;
}

Endpoint binary_endpoint(int family, const char* address, size_t bytes, const char* port) {
  Endpoint out;
  out.family = static_cast<uint8_t>(family);
  out.port = load_be<uint16_t>(port);
  memcpy(out.address, address, bytes);
  return out;
}

// `rest` is what the header's length counts: addresses and TLVs.
bool read_binary(uint8_t command, uint8_t protocol, std::string_view rest, ProxyHeader& out) {
  const int family = protocol >> 4;
  const int transport = protocol & 15;
  if (command > 1 || family > 3 || transport > 2) return false;
  if (command == 0) return true;  // LOCAL: the proxy's own connection; the rest is to be ignored.
  constexpr size_t kAddressBytes[] = {0, 4, 16, 108};
  const size_t address = kAddressBytes[family];
  const size_t block = family == 3 ? kUnixBytes2 : family == 0 ? 0 : 2 * address + 4;
  if (rest.size() < block || (family != 0 && !sound_tlvs(rest.substr(block)))) return false;
  if (family == 0 || family == 3 || transport != 1) return true;
  const int socket_family = family == 1 ? AF_INET : AF_INET6;
  const char* at = rest.data();
  out.source = binary_endpoint(socket_family, at, address, at + 2 * address);
  out.destination = binary_endpoint(socket_family, at + address, address, at + 2 * address + 2);
  return true;
}

ProxyHeader parse_version_2(std::string_view bytes) {
  if (!is_prefix(bytes, kSignature2)) return malformed();
  if (bytes.size() < kFixedBytes2) return {};
  const auto command = static_cast<uint8_t>(bytes[12]);
  const size_t length = load_be<uint16_t>(bytes.data() + 14);
  if (command >> 4 != 2 || kFixedBytes2 + length > ProxyHeader::kBytesMax) return malformed();
  if (bytes.size() < kFixedBytes2 + length) return {};
  ProxyHeader out{.kind = Kind::Complete, .bytes = kFixedBytes2 + length};
  const std::string_view rest = bytes.substr(kFixedBytes2, length);
  return read_binary(command & 15, static_cast<uint8_t>(bytes[13]), rest, out) ? out : malformed();
}

void map_to_ipv6(Endpoint& endpoint) {
  if (endpoint.family != AF_INET) return;
  endpoint.family = AF_INET6;
  memcpy(endpoint.address + 12, endpoint.address, 4);
  memset(endpoint.address, 0, 10);
  memset(endpoint.address + 10, 0xff, 2);
}

bool is_internet(const Endpoint& endpoint) { return endpoint.family == AF_INET || endpoint.family == AF_INET6; }

void append_version_1(const Endpoint& source, const Endpoint& destination, std::string& out) {
  out += source.family == AF_INET ? "PROXY TCP4 " : "PROXY TCP6 ";
  out += address_text(source) + ' ' + address_text(destination) + ' ';
  out += std::to_string(source.port) + ' ' + std::to_string(destination.port) + "\r\n";
}

void append_big_endian(uint16_t value, std::string& out) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 0xff);
}

void append_version_2(const Endpoint& source, const Endpoint& destination, std::string& out) {
  const size_t address = source.family == AF_INET ? 4 : 16;
  out += kSignature2;
  out += '\x21';
  out += source.family == AF_INET ? '\x11' : '\x21';
  append_big_endian(static_cast<uint16_t>(2 * address + 4), out);
  out.append(reinterpret_cast<const char*>(source.address), address);
  out.append(reinterpret_cast<const char*>(destination.address), address);
  append_big_endian(source.port, out);
  append_big_endian(destination.port, out);
}

}  // namespace

record::Endpoint local_endpoint(int fd) {
  Endpoint out;
  sockaddr_storage local{};
  socklen_t length = sizeof local;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length) != 0) return out;
  out.family = static_cast<uint8_t>(local.ss_family);
  if (local.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(local);
    memcpy(out.address, &in.sin_addr, sizeof in.sin_addr);
    out.port = ntohs(in.sin_port);
  } else if (local.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(local);
    memcpy(out.address, &in.sin6_addr, sizeof in.sin6_addr);
    out.port = ntohs(in.sin6_port);
  }
  return out;
}

ProxyHeader parse_proxy_header(std::string_view bytes) {
  if (bytes.empty()) return {};
  return bytes[0] == kSignature2[0] ? parse_version_2(bytes) : parse_version_1(bytes);
}

void append_proxy_header(int version, const Endpoint& from, const Endpoint& to, std::string& out) {
  Endpoint source = from;
  Endpoint destination = to;
  if (!is_internet(source) || !is_internet(destination)) {
    if (version == 1) {
      out += "PROXY UNKNOWN\r\n";
    } else {
      out += kSignature2;
      out.append("\x21\0\0\0", 4);
    }
    return;
  }
  if (source.family != destination.family) {
    map_to_ipv6(source);
    map_to_ipv6(destination);
  }
  return version == 1 ? append_version_1(source, destination, out) : append_version_2(source, destination, out);
}

std::string address_text(const Endpoint& endpoint) {
  char text[INET6_ADDRSTRLEN] = {};
  if (endpoint.family == AF_UNIX) return "unix:";
  if (!is_internet(endpoint) || inet_ntop(endpoint.family, endpoint.address, text, sizeof text) == nullptr) return {};
  return text;
}

}  // namespace beamgate::net
