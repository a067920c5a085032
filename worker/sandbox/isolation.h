// Isolation: a Landlock domain (landlock(7)) of a worker's own.
//
// Whoever is in one can neither trace nor read nor write the memory of a process outside of it, such as its keeper, the
// master or another worker, although they may be the same user's.  It also takes what no worker does to files:
// executing them, making directories, links, devices, pipes and sockets.  What stands in a configuration, and may be
// another at the next reload, stays reachable: document roots, logs, sockets.
// Errors     System: a kernel before 5.13, or one where it is switched off.
#pragma once

#include "common/base/result.h"

namespace beamgate::sandbox {

// REQUIRES: no new privileges.
Result<void> isolate();

}  // namespace beamgate::sandbox
