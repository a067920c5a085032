// Predecessor: what a successor finds of the worker that died before it.
//
// Its arena with the open step taken back, and its descriptors: both processes' tables are one, so that everything
// the dead worker had open is open here too.
// Owner      worker_main, until the Worker has taken over what it goes on with.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/result.h"
#include "common/ipc/handover.h"
#include "worker/record/arena.h"

namespace beamgate {

struct Inherited {
  record::Arena arena;
  std::vector<uint32_t> restored;  // Slots whose records the open step had changed.
  int32_t death = 0;               // common/ipc/life.h
};

// Opens what the predecessor left.  An error: it is no arena of this build, or makes no sense.
Result<Inherited> open_predecessor(ipc::Predecessor& predecessor);

// Descriptors of the connections in it.  A record whose socket is not the one that it names (SO_COOKIE) is damaged
// and loses its descriptor, which the sweep then closes: whatever that was, its peer shall not wait for it.
std::vector<int> clients_of(record::Arena& arena);
// Those of the pages that say whose the connections are that were being moved.
std::vector<int> pages_of(const record::Arena& arena);

}  // namespace beamgate
