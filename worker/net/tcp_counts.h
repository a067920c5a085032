// TCP counts: how far a connection's two streams have come, as the kernel knows it.
//
// Source     tcp_info (linux/tcp.h, Linux 4.1): bytes received less what is still unread, and bytes acknowledged
//            plus what is still in the send queue; a FIN counts as one byte on either side.
#pragma once

#include <cstdint>
#include <optional>

namespace beamgate::net {

struct TcpCounts {
  uint64_t consumed = 0;  // Bytes that this end has read.
  uint64_t written = 0;   // Bytes that this end has written.
};

// None: not a TCP socket, or one that is closed.
std::optional<TcpCounts> tcp_counts(int fd);

}  // namespace beamgate::net
