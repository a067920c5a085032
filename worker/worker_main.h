// A worker process, from what it inherits to its exit status.
#pragma once

#include "common/ipc/handover.h"

namespace beamgate::worker {

// Serves until the master says stop, a signal does, or the bus is gone.  Returns the process's exit status.
int run(ipc::Handover&& handover);

}  // namespace beamgate::worker
