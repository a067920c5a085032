// Predecessor: what a successor finds of the worker that died before it.
//
// Its arena with the open step taken back, and its descriptors: both processes' tables are one, so that everything
// the dead worker had open is open here too.
// Owner      worker_main, until the Worker has taken over what it goes on with.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/ipc/handover.h"
#include "worker/record/arena.h"

namespace beamgate {

// A client that was accepted and stands in no record.
struct Accepted {
  UniqueFd client;
  uint32_t listen_id = 0;
};

struct Inherited {
  record::Arena arena;
  std::vector<uint32_t> restored;  // Slots whose records the open step had changed.
  int32_t death = 0;               // common/ipc/life.h
  std::optional<Accepted> accepted;
};

// Opens what the predecessor left.  An error: it is no arena of this build, or makes no sense.
Result<Inherited> open_predecessor(ipc::Predecessor& predecessor);

// Descriptors of the connections in it.  A record whose socket is not the one that it names (SO_COOKIE) is damaged
// and loses its descriptor: whatever that was, its peer shall not wait for it.
std::vector<int> clients_of(record::Arena& arena);
// The one that the worker was about to record when it died; nothing of it has been read.  clients: those recorded.
std::optional<Accepted> accepted_client(const record::Arena& arena, const std::vector<ipc::InheritedListen>& listens,
                                        const std::vector<int>& clients);
// Those of the pages that say whose the connections are that were being moved.
std::vector<int> pages_of(record::Arena& arena);

}  // namespace beamgate
