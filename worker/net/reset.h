// Reset: a connection that does not end in order.
//
// Source     socket(7), SO_LINGER with a time of zero: close(2) sends RST and drops what is not sent.
#pragma once

namespace beamgate::net {

// The socket's close tells the peer that something is missing, and leaves nothing in the kernel.
void reset_when_closed(int fd);

}  // namespace beamgate::net
