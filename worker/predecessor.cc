#include "worker/predecessor.h"

#include <algorithm>

#include "worker/record/record.h"

namespace beamgate {

Result<Inherited> open_predecessor(ipc::Predecessor& predecessor) {
  auto arena = record::Arena::open(std::move(predecessor.arena));
  if (!arena.ok()) return arena.error();
  Inherited inherited{std::move(arena).value(), {}, predecessor.death};
  if (!inherited.arena.undo(inherited.restored)) return Error{Code::Invalid, 0, "its journal is damaged"};
  return inherited;
}

std::vector<int> clients_of(const record::Arena& arena) {
  std::vector<int> out;
  for (uint32_t slot = 0; slot < std::min(arena.vault().slots_touched, arena.slots()); ++slot) {
    const record::Record& record = arena.records()[slot];
    if (record.phase != record::Phase::Free) out.push_back(record.fd);
  }
  return out;
}

}  // namespace beamgate
