// Extras: what only few connections have beside their record: who announced them, and which limits count them.
//
// Owner      The record, by Record::extras; a block in the arena that never changes: set_extras() puts another one in its
//            place, so that a step that is taken back finds the old one.
// Lifetime   Connections releases it with the record.
// Limits     kCountsMax keys that count one connection.
#pragma once

#include <cstdint>

#include "worker/record/record.h"

namespace beamgate::record {

struct Endpoint {
  uint8_t family = 0;        // AF_INET, AF_INET6, AF_UNIX; 0: not known.
  uint8_t unused = 0;
  uint16_t port = 0;
  uint8_t address[16] = {};  // As in Record.
};

// What a PROXY protocol header has said.  Record's peer is the client that the gateway believes in.
struct Announcement {
  Endpoint peer;         // Of the socket.
  Endpoint source;       // The client, as announced; unknown for LOCAL, UNKNOWN and UNSPEC.
  Endpoint destination;
  uint32_t present = 0;
};

// A key of limit_conn that counts this connection (ipc::AddressTable).
struct CountedKey {
  uint64_t key = 0;
  uint32_t entry = UINT32_MAX;
  uint32_t unused = 0;
};

struct Extras {
  static constexpr uint32_t kCountsMax = 8;

  Announcement announced;
  uint32_t counts = 0;
  CountedKey counted[kCountsMax];
};
static_assert(std::is_trivially_copyable_v<Extras>);

inline Extras extras_of(const Arena& arena, const Record& record) {
  return record.extras == kNull ? Extras{} : *arena.at<Extras>(record.extras);
}

// kNull for extras that say nothing, or when the arena is full.
inline Ref make_extras(Arena& arena, const Extras& extras) {
  if (extras.counts == 0 && extras.announced.present == 0) return kNull;
  const Ref ref = arena.allocate(sizeof extras);
  if (ref != kNull) *arena.at<Extras>(ref) = extras;
  return ref;
}

// False, and nothing has changed, when the arena is full.
inline bool set_extras(Arena& arena, Record& record, const Extras& extras) {
  const bool any = extras.counts > 0 || extras.announced.present != 0;
  const Ref ref = make_extras(arena, extras);
  if (any && ref == kNull) return false;
  touch(arena, record);
  arena.release(record.extras);
  record.extras = ref;
  return true;
}

}  // namespace beamgate::record
