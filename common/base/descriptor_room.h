// Room in the table of descriptors, which clients must not use up: the master passes logs, listening sockets and
// connections, and a worker that can't take one of them is lost.
//
// The kernel gives the lowest free number, so a new descriptor's number tells how full the table is.
#pragma once

namespace beamgate {

// How many can be opened beside those up to `fd`, by RLIMIT_NOFILE as it was at the first call.
int descriptors_above(int fd);

// While fewer are left no client is accepted; what is opened for a client may take half of them.
int descriptors_kept();

}  // namespace beamgate
