// Sweep: closes what a process inherited and nobody wants.
//
// A successor shares its predecessor's descriptor table: the dead worker's event sets, timers, half-made
// connections and files are still open, and nobody knows them any more.
// Closes only, never shuts down: a listening socket is shared with the master, and a connection that was being
// moved may already be its new worker's.  For everything else this is the last reference.
#pragma once

#include <vector>

namespace beamgate::ipc {

// Closes all but 0, 1, 2 and `keep`; negative numbers are allowed.
void sweep_descriptors(std::vector<int> keep);

}  // namespace beamgate::ipc
