// PROXY header: what a proxy says of its client before the client's own bytes, versions 1 and 2.
//
// Source   The PROXY protocol (HAProxy, doc/proxy-protocol.txt), sections 2.1 and 2.2.
// Strict   Version 1: single spaces, addresses of the family it names, ports without leading zeros, CRLF within 107
//          bytes.  Version 2: known commands, families and transports only, an address block that is long enough,
//          TLVs that end where the header does.  TLVs are not looked into.
// Limits   kBytesMax for a whole header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "worker/record/extras.h"

namespace beamgate::net {

struct ProxyHeader {
  static constexpr size_t kBytesMax = 4096;

  enum class Kind : uint8_t { NeedMore, Complete, Malformed };
  Kind kind = Kind::NeedMore;
  size_t bytes = 0;                   // Complete: of the header; what follows is the client's.
  record::Endpoint source;            // Unknown for LOCAL, UNKNOWN, UNSPEC, unix sockets and datagrams.
  record::Endpoint destination;
};

// `bytes` are everything from the connection's first byte on.
ProxyHeader parse_proxy_header(std::string_view bytes);

// Appends a header of version 1 or 2.  Addresses of different families become IPv6; unknown ones are said to be so.
void append_proxy_header(int version, const record::Endpoint& source, const record::Endpoint& destination,
                         std::string& out);

// Our end of a socket.
record::Endpoint local_endpoint(int fd);

// "" for an unknown one, "unix:" for a unix socket.
std::string address_text(const record::Endpoint& endpoint);

}  // namespace beamgate::net
