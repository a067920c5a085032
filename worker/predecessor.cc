#include "worker/predecessor.h"

#include <sys/socket.h>

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

namespace {

template <typename Visit>
void for_each_record(const record::Arena& arena, Visit&& visit) {
  for (uint32_t slot = 0; slot < std::min(arena.vault().slots_touched, arena.slots()); ++slot) {
    record::Record& record = arena.records()[slot];
    if (record.phase != record::Phase::Free) visit(record);
  }
}

bool is_same_socket(const record::Record& record) {
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  return getsockopt(record.fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 && cookie == record.so_cookie;
}

}  // namespace

std::vector<int> clients_of(record::Arena& arena) {
  std::vector<int> out;
  for_each_record(arena, [&](record::Record& record) {
    if (is_same_socket(record)) {
      out.push_back(record.fd);
    } else {
      record.fd = -1;
    }
  });
  return out;
}

std::vector<int> pages_of(const record::Arena& arena) {
  std::vector<int> out;
  for_each_record(arena, [&](const record::Record& record) {
    if (record.pauses & record::kPauseMove) out.push_back(static_cast<int>(record.move_page) - 1);
  });
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace beamgate
