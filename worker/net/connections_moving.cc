// The moving part of Connections: records that are frozen, given away and taken in.
#include <algorithm>
#include <utility>

#include "worker/net/connections.h"

namespace beamgate::net {

using metrics::Metric;
using record::kNull;
using record::Phase;
using record::Record;

bool Connections::movable(const Record& record) {
  if (record.phase == Phase::Free || record.phase == Phase::Closing) return false;
  if (record.phase == Phase::Announced || record.phase == Phase::Http2) return false;
  if (record.transport == record::Transport::Stream) return false;
  if (record.transport == record::Transport::Tls && (record.tls == kNull || tls_state(record).batch == record::TlsBatch::Through)) return false;
  // Whoever waits for the bus or for an exchange has state outside the record.
  if (record.pauses & (record::kPauseMove | record::kPauseExchange | record::kPauseBus)) return false;
  return !in_turn(record) && handler_of(record).may_move(record);
}

bool Connections::leaving(const Record& record) const {
  return (record.pauses & record::kPauseMove) != 0 && (record.move_place & kPlaceArriving) == 0;
}

bool Connections::arriving(const Record& record) const {
  return (record.pauses & record::kPauseMove) != 0 && (record.move_place & kPlaceArriving) != 0;
}

int64_t Connections::deadline_ms(const Record& record) const {
  return record.deadline_tick == 0 ? 0 : wheel_.time_of(record.deadline_tick);
}

// kFlagWantWrite without EPOLLOUT keeps every list from flushing it.
void Connections::freeze(Record& record, uint32_t page, uint32_t place) {
  BG_ASSERT((record.pauses & record::kPauseMove) == 0);
  record::touch(arena_, record);
  poller_.remove_client(record.fd);
  const uint32_t deadline = record.deadline_tick;
  wheel_.disarm(record);
  record.move_deadline_tick = deadline;
  record.move_page = page;
  record.move_place = place;
  record.flags |= record::kFlagWantWrite;
  record.pauses |= record::kPauseMove;
}

void Connections::thaw(Record& record) {
  BG_ASSERT(leaving(record));
  const bool watched = watch(record);
  BG_ASSERT(watched);
}

void Connections::on_touch(Record& record) {
  if (leaving(record)) thaw(record);
}

// Back into the epoll set and the wheel; the peer may have written, or gone, in the meantime.
bool Connections::watch(Record& record) {
  record::touch(arena_, record);
  const bool write = record.outbound_head != kNull || (record.tls != kNull && tls_state(record).wants_to_seal());
  const bool read = record.flags & record::kFlagReadArmed;
  const uint64_t token = token_for(slot_of(record), record.generation);
  if (!poller_.add_client(record.fd, token, (read ? EPOLLIN : 0u) | (write ? EPOLLOUT : 0u)).ok()) return false;
  if (!write) record.flags = static_cast<uint8_t>(record.flags & ~record::kFlagWantWrite);
  const uint32_t deadline = std::exchange(record.move_deadline_tick, 0);
  if (deadline != 0) set_deadline(record, wheel_.time_of(deadline));
  record.move_page = record.move_place = 0;
  resume(record, record::kPauseMove);
  return true;
}

void Connections::give_away(Record& record) {
  BG_ASSERT(leaving(record));
  handler_of(record).on_given(record);
  arena_.journal().close_descriptor(record.fd, false);
  release_record(record);
}

Record* Connections::admit(UniqueFd socket, const Arrival& arrival) {
  // An owner's connection may have had a place from outside of the reserve when it came.
  const bool has_place = active_ < limits_.per_worker + reserve_;
  const uint32_t slot = has_place ? take_slot() : UINT32_MAX;
  if (slot == UINT32_MAX) return nullptr;
  Record& record = arena_.records()[slot];
  record::touch(arena_, record);
  Record fresh = arrival.fields;
  fresh.saved_in_step = record.saved_in_step;
  fresh.generation = record.generation + 1;
  fresh.fd = socket.release();
  fresh.flags &= record::kFlagPeerClosed;
  if (fresh.flags == 0) fresh.flags |= record::kFlagReadArmed;
  fresh.flags |= record::kFlagWantWrite;
  fresh.pauses |= record::kPauseMove;
  fresh.deadline_tick = fresh.timer_next = fresh.timer_previous = 0;
  const int64_t silent_ticks = std::max<int64_t>(now_ms() - arrival.last_received_ms, 0) / TimerWheel::kTickMs;
  fresh.last_received_tick = static_cast<uint32_t>(std::max<int64_t>(wheel_.now_tick() - silent_ticks, 1));
  fresh.move_page = arrival.page;
  fresh.move_place = arrival.place | kPlaceArriving;
  fresh.move_deadline_tick = arrival.deadline_ms == 0 ? 0 : wheel_.tick_at(arrival.deadline_ms);
  fresh.address_entry = ipc::AddressTable::kUncounted;
  if (limits_.addresses != nullptr && limits_.per_address > 0 && fresh.peer_family != AF_UNIX) {
    // It was admitted to the node once, and for a moment it counts twice.
    fresh.address_entry = limits_.addresses->try_acquire(limits_.slot, address_key(fresh), UINT32_MAX).entry;
  }
  record = fresh;
  slot_of_uid_[record.uid] = slot;
  ++active_;
  metrics_.add(Metric::ConnectionsActive);
  return &record;
}

bool Connections::begin(Record& record) {
  BG_ASSERT(arriving(record));
  if (!watch(record)) return false;
  handler_of(record).on_adopted(record);
  return true;
}

void Connections::turn_away(Record& record) {
  BG_ASSERT(arriving(record));
  arena_.journal().close_descriptor(record.fd, false);
  release_record(record);
}

// The connection was admitted once: what it counts for may be more than the limit for a moment.
bool Connections::restore_extras(Record& record, const record::Extras& from) {
  if (from.counts > record::Extras::kCountsMax) return false;
  record::Extras extras = from;
  if (limits_.keys == nullptr) extras.counts = 0;
  for (uint32_t i = 0; i < extras.counts; ++i) {
    extras.counted[i].entry = limits_.keys->try_acquire(limits_.slot, extras.counted[i].key, UINT32_MAX).entry;
  }
  if (record::set_extras(arena_, record, extras)) return true;
  for (uint32_t i = 0; i < extras.counts; ++i) limits_.keys->release(limits_.slot, extras.counted[i].entry);
  return false;
}

void Connections::restore_begun(Record& record, uint32_t offset) {
  BG_ASSERT(record.outbound_offset == 0 && offset <= record.outbound_bytes);
  record.outbound_offset = offset;
  record.outbound_bytes -= offset;
}

}  // namespace beamgate::net
