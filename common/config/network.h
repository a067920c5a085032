// Network: addresses as nginx writes them, and the rules that name ranges of them.
//
// Grammar    "8080", "127.0.0.1:8080", "[::1]:8080", "*:8080", "localhost:80", "unix:/run/x.sock".
// Blocking   resolve() asks the system's resolver; only ever while a configuration is read.
// Errors     False, with a text that completes "in ... directive: ".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/model.h"

namespace beamgate::config {

// Whether a name may be asked for; without, only numeric addresses are known.
enum class Names : uint8_t { Resolve, Refuse };

inline constexpr size_t kAddressesMax = 64;  // Of one name; what comes after is not used.

// A unix socket's address; its text is "unix:" and the path.
bool unix_address(std::string_view path, Address& out, std::string& error);

// A numeric IPv4 or IPv6 address without brackets.
bool numeric_address(const std::string& host, uint16_t port, Address& out);

// Where a server listens; port alone and "*" mean all IPv4 addresses.
bool listen_addresses(std::string_view text, Names names, std::vector<Address>& out, std::string& error);

// "host", "host:port" or "unix:path" of a server to connect to.
bool server_addresses(std::string_view text, uint16_t default_port, Names names, std::vector<Address>& out,
                      std::string& error);

// Splits "host[:port]"; the brackets around an IPv6 host are taken away.
bool split_authority(std::string_view text, std::string& host, std::optional<uint16_t>& port,
                     std::string& error);

// "all", "unix:", an address or CIDR; low_bits: the address has bits below its prefix (they are cleared).
bool parse_access_rule(std::string_view text, AccessRule& out, bool& low_bits);

}  // namespace beamgate::config
