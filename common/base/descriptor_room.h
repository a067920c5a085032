// Room in the table of descriptors, which clients must not use up: the master passes logs, listening sockets and
// connections, and a worker that can't take one of them is lost.
//
// The kernel gives the lowest free number, so a new descriptor's number tells how full the table is.
#pragma once

#include "common/base/unique_fd.h"

namespace beamgate {

// How many can be opened beside those up to `fd`, by RLIMIT_NOFILE as it was at the first call.
int descriptors_above(int fd);

// While fewer are left no client is accepted.
int descriptors_kept();

// What has been opened for a client, which may take half of those; without room it is closed again, and errno is EMFILE.
UniqueFd opened_for_client(UniqueFd fd);

}  // namespace beamgate
