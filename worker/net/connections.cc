// Coming, reading, phases, closing; the writing half is connections_writing.cc.
#include "worker/net/connections.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "common/fault/fault.h"
#include "worker/net/reset.h"
#include "worker/record/counted_address.h"
#include "worker/record/text_block.h"
#include "worker/record/uid.h"

namespace beamgate::net {
namespace {

using metrics::Metric;
using record::ConnId;
using record::kNull;
using record::Phase;
using record::Record;
using record::Ref;

constexpr uint32_t kNoLimitYet = 256 << 10;  // Until the first layer sets its own outbound limit.

void store_peer(const Peer& peer, Record& record) {
  record.peer_family = static_cast<uint8_t>(peer.address.ss_family);
  if (peer.address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(peer.address);
    memcpy(record.peer_address, &in.sin_addr, sizeof in.sin_addr);
    record.peer_port = ntohs(in.sin_port);
  } else if (peer.address.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(peer.address);
    memcpy(record.peer_address, &in.sin6_addr, sizeof in.sin6_addr);
    record.peer_port = ntohs(in.sin6_port);
  }
}

uint64_t socket_cookie(int fd) {
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
  return cookie;
}

}  // namespace

Connections::Connections(record::Arena& arena, Poller& poller, metrics::Page& metrics, uint16_t worker)
    : arena_(arena),
      poller_(poller),
      metrics_(metrics),
      worker_(worker),
      wheel_(arena.records(), monotonic_ms()),
      slots_touched_(arena.vault().slots_touched),
      nonce_(static_cast<uint32_t>(crypto::random_u64())) {
  limits_.per_worker = arena.slots();
  poller_.set_client_target(*this);
}

Connections::~Connections() {
  for_each([this](Record& record) { close_now(record); });
}

void Connections::set_handler(Phase phase, PhaseHandler& handler) {
  handlers_[static_cast<size_t>(phase)] = &handler;
}

PhaseHandler& Connections::handler_of(const Record& record) {
  PhaseHandler* handler = handlers_[static_cast<size_t>(record.phase)];
  BG_ASSERT(handler != nullptr);
  return *handler;
}

// --- Coming, being found, going.

uint32_t Connections::take_slot() {
  if (!free_slots_.empty()) {
    const uint32_t slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
  }
  return slots_touched_ < arena_.slots() ? slots_touched_++ : UINT32_MAX;
}

Record* Connections::adopt(UniqueFd socket, const Peer& peer, uint32_t listen_id) {
  const record::Step step(arena_);
  Record fresh;
  store_peer(peer, fresh);
  const bool announced = limits_.announced.contains(listen_id);
  if (!announced && !count_address(fresh)) {
    metrics_.add(Metric::ConnectionsRefusedAddress);
    return nullptr;
  }
  const uint32_t slot = has_room(listen_id) ? take_slot() : UINT32_MAX;
  if (slot == UINT32_MAX) {
    if (limits_.addresses != nullptr) limits_.addresses->release(limits_.slot, fresh.address_entry);
    metrics_.add(Metric::ConnectionsRefusedFull);
    return nullptr;
  }
  Record& record = arena_.records()[slot];
  record::touch(arena_, record);
  fresh.saved_in_step = record.saved_in_step;
  fresh.generation = record.generation + 1;
  fresh.fd = socket.get();
  fresh.phase = announced ? Phase::Announced : Phase::Http;
  if (limits_.lines.contains(listen_id)) fresh.phase = Phase::Line;
  fresh.flags = record::kFlagReadArmed;
  fresh.uid = record::make_uid(worker_, slot, ++nonce_);
  fresh.so_cookie = socket_cookie(fresh.fd);
  fresh.accepted_ms = wall_ms();
  fresh.listen_id = listen_id;
  fresh.last_received_tick = wheel_.now_tick();
  fresh.outbound_limit = kNoLimitYet;
  const bool spoken = announced || open_tls(fresh, slot);
  record = fresh;
  if (!spoken || !poller_.add_client(record.fd, token_for(slot, record.generation), EPOLLIN).ok()) {
    tls_.close(slot);
    if (limits_.addresses != nullptr) limits_.addresses->release(limits_.slot, record.address_entry);
    record.phase = Phase::Free;
    free_slots_.push_back(slot);
    metrics_.add(Metric::ConnectionsRefusedMemory);
    return nullptr;
  }
  socket.release();
  ++active_;
  metrics_.add(Metric::ConnectionsAccepted);
  metrics_.add(Metric::ConnectionsActive);
  handler_of(record).on_enter(record);
  return find(ConnId{slot, fresh.generation});
}

uint32_t Connections::slot_of(const Record& record) const {
  return static_cast<uint32_t>(&record - arena_.records());
}

ConnId Connections::id_of(const Record& record) const { return ConnId{slot_of(record), record.generation}; }

Record* Connections::find(ConnId id) {
  if (id.slot >= slots_touched_) return nullptr;
  Record& record = arena_.records()[id.slot];
  return record.phase != Phase::Free && record.generation == id.generation ? &record : nullptr;
}

bool Connections::set_user(Record& record, std::string_view user) {
  record::touch(arena_, record);
  if (!record::assign_text(arena_, record.user, user)) return false;
  users_.set(slot_of(record), record::text_of(arena_, record.user));
  return true;
}

std::vector<ConnId> Connections::of_user(std::string_view user) const {
  std::vector<ConnId> ids;
  for (const uint32_t slot : users_.slots_of(user)) {
    const Record& record = arena_.records()[slot];
    if (record::text_of(arena_, record.user) == user) ids.push_back(id_of(record));
  }
  return ids;
}

Record* Connections::find_uid(uint64_t uid) {
  uint32_t slot = record::uid_slot(uid);
  if (!slot_of_uid_.empty()) {
    const auto elsewhere = slot_of_uid_.find(uid);
    if (elsewhere != slot_of_uid_.end()) slot = elsewhere->second;
  }
  if (slot >= slots_touched_) return nullptr;
  Record& record = arena_.records()[slot];
  return record.phase != Phase::Free && record.uid == uid && !arriving(record) ? &record : nullptr;
}

uint64_t Connections::address_key(const Record& record) const {
  const std::string_view counted = record::counted_address(record);
  uint64_t key = 0;
  memcpy(&key, counted.data(), counted.size());
  key ^= limits_.address_seed ^ uint64_t{counted.size()} << 56;
  key ^= key >> 31;
  key *= 0x7fb5d329728ea185u;
  key ^= key >> 27;
  key *= 0x81dadef4bc2dd44du;
  return key ^ key >> 33;
}

// False: the address has as many connections as it may.
bool Connections::count_address(Record& record) {
  if (limits_.addresses == nullptr || limits_.per_address == 0 || record.peer_family == AF_UNIX) return true;
  const auto admission = limits_.addresses->try_acquire(limits_.slot, address_key(record), limits_.per_address);
  record.address_entry = admission.entry;
  return admission.admitted;
}

bool Connections::announce(Record& record, const record::Announcement& announced, const record::Endpoint& client) {
  record::Extras extras = record::extras_of(arena_, record);
  extras.announced = announced;
  extras.announced.present = 1;
  const auto refuse = [this](Metric why) { return metrics_.add(why), false; };
  if (!record::set_extras(arena_, record, extras)) return refuse(Metric::ConnectionsRefusedMemory);
  record.peer_family = client.family;
  record.peer_port = client.port;
  memcpy(record.peer_address, client.address, sizeof record.peer_address);
  if (!count_address(record)) return refuse(Metric::ConnectionsRefusedAddress);
  return open_tls(record, slot_of(record)) || refuse(Metric::ConnectionsRefusedMemory);
}

bool Connections::count_for(Record& record, uint64_t key, uint32_t limit) {
  if (limits_.keys == nullptr) return true;
  record::Extras extras = record::extras_of(arena_, record);
  if (extras.counts == record::Extras::kCountsMax) return false;
  const auto admission = limits_.keys->try_acquire(limits_.slot, key, limit);
  if (!admission.admitted) return false;
  extras.counted[extras.counts++] = {.key = key, .entry = admission.entry};
  if (record::set_extras(arena_, record, extras)) return true;
  limits_.keys->release(limits_.slot, admission.entry);
  return false;
}

void Connections::uncount(Record& record) {
  if (record.extras == kNull) return;
  release_counts(record);
  record::Extras extras = record::extras_of(arena_, record);
  extras.counts = 0;
  const bool emptied = record::set_extras(arena_, record, extras);
  if (emptied) return;
  // No memory for the smaller one, so all of it goes: a count must never be given back twice.
  record::touch(arena_, record);
  arena_.release(record.extras);
  record.extras = kNull;
}

std::optional<uint32_t> Connections::count_key(uint64_t key, uint32_t limit) {
  if (limits_.keys == nullptr) return ipc::AddressTable::kUncounted;
  const auto admission = limits_.keys->try_acquire(limits_.slot, key, limit);
  return admission.admitted ? std::optional(admission.entry) : std::nullopt;
}

void Connections::uncount_key(uint32_t entry) {
  if (limits_.keys != nullptr) limits_.keys->release(limits_.slot, entry);
}

void Connections::release_counts(const Record& record) {
  if (record.extras == kNull || limits_.keys == nullptr) return;
  const record::Extras extras = record::extras_of(arena_, record);
  for (uint32_t i = 0; i < extras.counts; ++i) limits_.keys->release(limits_.slot, extras.counted[i].entry);
}

void Connections::free_record(Record& record) {
  if (record.transport != record::Transport::Stream) {
    // An orderly end can't be told behind bytes that are lost; and the kernel would keep, for minutes, what it has for a
    // peer that does not read.
    if (record.outbound_head != kNull) reset_when_closed(record.fd);
    if ((record.pauses & record::kPauseMove) == 0) poller_.remove_client(record.fd);
    constexpr uint8_t kEnded = record::kFlagPeerClosed | record::kFlagWriteShut;
    arena_.journal().close_descriptor(record.fd, (record.flags & kEnded) != kEnded);
  }
  release_record(record);
}

// The record is free again; what becomes of its descriptor is the caller's business.
void Connections::release_record(Record& record) {
  record::touch(arena_, record);
  if (on_free_) on_free_(record);
  if (in_turn(record)) turn_.bytes = 0;
  if (record.transport == record::Transport::Tls) release_tls(record);
  if (record.transport == record::Transport::Stream) links_.erase(slot_of(record));
  wheel_.disarm(record);
  drop_carry(record);
  while (record.outbound_head != kNull) pop_frame(record);
  release_counts(record);
  users_.set(slot_of(record), {});
  for (const Ref ref : {record.message, record.user, record.app_state, record.handshake, record.extras}) {
    arena_.release(ref);
  }
  if (limits_.addresses != nullptr) limits_.addresses->release(limits_.slot, record.address_entry);
  if (!slot_of_uid_.empty()) {
    const auto elsewhere = slot_of_uid_.find(record.uid);
    if (elsewhere != slot_of_uid_.end() && elsewhere->second == slot_of(record)) slot_of_uid_.erase(elsewhere);
  }
  const Record gone = record;
  record = Record{};
  record.generation = gone.generation + 1;
  record.saved_in_step = gone.saved_in_step;
  free_slots_.push_back(slot_of(record));
  --active_;
  metrics_.subtract(Metric::ConnectionsActive);
}

// --- Reading.

void Connections::say_now(const Record& record, ipc::Doing doing) {
  now_->slot = slot_of(record);
  now_->generation = record.generation;
  now_->doing = doing;
  now_->uid = record.uid;
}

void Connections::on_ready(uint64_t token, uint32_t events) {
  Record* record = find(ConnId{static_cast<uint32_t>(token >> 32), static_cast<uint32_t>(token)});
  if (record == nullptr) return;  // Closed earlier in this round.
  const ConnId id = id_of(*record);
  if (events & EPOLLOUT) {
    flush(*record);
    if ((record = find(id)) == nullptr) return;
  }
  if (record->phase == Phase::Closing) {
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0) return;
    return serve(*record, ipc::Doing::Closing, [&] { discard_input(*record); });
  }
  if (record->pauses != 0) {
    // Input is left in the kernel, and the set is only told so now that it matters.
    return serve(*record, ipc::Doing::Closing, [&] {
      if (events & (EPOLLERR | EPOLLHUP)) return close_now(*record);
      if (events & EPOLLRDHUP) return peer_gone(*record);
      arm(*record, false, record->flags & record::kFlagWantWrite);
    });
  }
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) read(*record);
}

// The carry, copied to where new bytes will follow it.  REQUIRES: it is shorter than the landing zone.
std::span<const char> Connections::land_carry(const Record& record) {
  if (record.carry_bytes > 0) memcpy(arena_.landing(), arena_.at(record.carry), record.carry_bytes);
  arena_.stage().carried = record.carry_bytes;
  return {arena_.landing(), record.carry_bytes};
}

void Connections::read(Record& record) {
  const ConnId id = id_of(record);
  bool turn = false;
  serve(record, ipc::Doing::Reading, [&] {
    turn = receive(record);
    if (turn) commit_turn();
  });
  if (turn) write_turn(id);
  push_after_read(id);
}

// What TLS itself has to say for what it has read.
void Connections::push_after_read(ConnId id) {
  Record* record = find(id);
  if (record == nullptr || record->transport != record::Transport::Tls) return;
  if (record->tls == kNull) {
    push_tls(*record);
  } else if (seals_now(*record)) {
    flush_records(*record);
  }
}

// True: bytes were dispatched, so what they have caused to be written is in the turn.
bool Connections::receive(Record& record) {
  if (record.tls != kNull) return receive_records(record);
  if (record.transport == record::Transport::Tls) return receive_tls(record);
  const size_t carried = land_carry(record).size();
  const size_t room = std::min(record::Arena::kLandingBytes - carried, kReadBytes);
  const ssize_t received = receive_some(record, arena_.landing() + carried, room);
  fault::linger();
  if (received > 0) {
    record.bytes_received += static_cast<uint64_t>(received);
    record.last_received_tick = wheel_.now_tick();
    metrics_.add(Metric::BytesReceived, static_cast<uint64_t>(received));
    dispatch(record, {arena_.landing(), carried + static_cast<size_t>(received)});
    return true;
  }
  received_nothing(record, received);
  return false;
}

ssize_t Connections::receive_some(const Record& record, char* into, size_t room) {
  if (record.transport != record::Transport::Stream) return recv(record.fd, into, room, 0);
  StreamLink* link = link_of(record);
  return link == nullptr ? 0 : link->receive(into, room);
}

void Connections::received_nothing(Record& record, ssize_t received) {
  if (received < 0) {
    if (errno != EAGAIN && errno != EINTR) close_now(record);
    return;
  }
  record.flags |= record::kFlagPeerClosed;
  arm(record, false, record.flags & record::kFlagWantWrite);
  maybe_end(record);
}

// `bytes` are the whole of the carry and what came after it.
void Connections::dispatch(Record& record, std::span<const char> bytes) {
  const ConnId id = id_of(record);
  begin_turn(record);
  while (!bytes.empty() && record.pauses == 0) {
    const Phase phase = record.phase;
    const record::Transport transport = record.transport;
    const size_t used = handler_of(record).on_bytes(record, bytes);
    if (find(id) == nullptr) return;
    bytes = bytes.subspan(used);
    if (record.transport != transport) return begin_tls(record, bytes);
    if (record.phase == phase) break;
    if (record.phase == Phase::Closing) bytes = {};
  }
  if (record.phase == Phase::Closing) {
    drop_carry(record);
  } else {
    keep_carry(record, bytes);
  }
}

// The old block stays as it is: should this step be taken back, it is the carry again.
void Connections::keep_carry(Record& record, std::span<const char> rest) {
  drop_carry(record);
  if (rest.empty()) return;
  record.carry = rest.size() < record::Arena::kLandingBytes / 2 ? arena_.allocate(rest.size()) : kNull;
  if (record.carry == kNull) return close_for_memory(record);
  memcpy(arena_.at(record.carry), rest.data(), rest.size());
  record.carry_bytes = static_cast<uint32_t>(rest.size());
}

// It is at its limit: this client goes.
void Connections::close_for_memory(Record& record) {
  metrics_.add(Metric::ClosesMemory);
  close_now(record);
}

void Connections::drop_carry(Record& record) {
  arena_.release(record.carry);
  record.carry = kNull;
  record.carry_bytes = 0;
}

// The layer hears of the peer's FIN when it can do something about it.
void Connections::maybe_end(Record& record) {
  const bool ended = record.flags & record::kFlagPeerClosed;
  if (ended && record.pauses == 0 && record.phase != Phase::Closing) handler_of(record).on_end(record);
}

void Connections::discard_input(Record& record) {
  const ssize_t received = receive_some(record, arena_.landing(), kReadBytes);
  if (received > 0 || (received < 0 && (errno == EAGAIN || errno == EINTR))) return;
  record.flags |= record::kFlagPeerClosed;
  if (received < 0 || record.flags & record::kFlagWriteShut) return free_record(record);
  arm(record, false, record.flags & record::kFlagWantWrite);
}

void Connections::pause(Record& record, record::PauseReason reason) {
  record::touch_line(arena_, record);
  record.pauses |= reason;
  if (reason == record::kPauseTurn) mark_ready(record);
}

void Connections::resume(Record& record, record::PauseReason reason) {
  if ((record.pauses & reason) == 0) return;
  record::touch_line(arena_, record);
  record.pauses = static_cast<uint8_t>(record.pauses & ~reason);
  if (record.pauses != 0 || record.phase == Phase::Closing) return;
  const bool peer_closed = record.flags & record::kFlagPeerClosed;
  if (!peer_closed) arm(record, true, record.flags & record::kFlagWantWrite);
  if (record.carry_bytes > 0 || peer_closed || in_turn(record) || holds_records(record)) mark_ready(record);
}

// --- Lists of this loop turn, and the epoll set.

void Connections::mark_dirty(Record& record) {
  if (record.flags & (record::kFlagDirty | record::kFlagWantWrite)) return;
  record.flags |= record::kFlagDirty;
  dirty_.push_back(id_of(record));
}

void Connections::mark_shared(Record& record) {
  if (record.flags & (record::kFlagShared | record::kFlagDirty | record::kFlagWantWrite)) return;
  record.flags |= record::kFlagShared;
  shared_.push_back(id_of(record));
}

void Connections::mark_ready(Record& record) {
  if (record.flags & record::kFlagReady) return;
  record.flags |= record::kFlagReady;
  ready_.push_back(id_of(record));
}

void Connections::arm(Record& record, bool read, bool write) {
  uint8_t flags = static_cast<uint8_t>(record.flags & ~(record::kFlagReadArmed | record::kFlagWantWrite));
  if (read) flags |= record::kFlagReadArmed;
  if (write) flags |= record::kFlagWantWrite;
  if (flags == record.flags) return;
  record::touch_line(arena_, record);
  record.flags = flags;
  if (record.transport == record::Transport::Stream) return stream_changed(id_of(record));
  // Bytes that wait behind an exchange may be followed by a FIN, which somebody may have to know of.
  const bool in_exchange = record.phase == Phase::Http && record.pauses != 0 && (flags & record::kFlagPeerClosed) == 0;
  watch_for(record, (read ? EPOLLIN : in_exchange ? EPOLLRDHUP : 0u) | (write ? EPOLLOUT : 0u));
}

void Connections::watch_for(const Record& record, uint32_t events) {
  poller_.modify_client(record.fd, token_for(slot_of(record), record.generation), events);
}

// It would be said again in every turn.
void Connections::peer_gone(Record& record) {
  watch_for(record, record.flags & record::kFlagWantWrite ? EPOLLOUT : 0u);
  handler_of(record).on_peer_gone(record);
}

void Connections::end_turn() {
  arena_.commit_turn();
  serve_streams();
  batch_.swap(ready_);
  for (const ConnId id : batch_) {
    Record* record = find(id);
    if (record == nullptr) continue;
    record->flags = static_cast<uint8_t>(record->flags & ~record::kFlagReady);
    go_on(*record);
  }
  batch_.clear();
  batch_.swap(dirty_);
  flush_batch(record::kFlagDirty);
  if (!shared_.empty()) write_round();
  arena_.commit_turn();
}

// A connection that has something to dispatch: its carry, or the peer's end.
void Connections::go_on(Record& record) {
  const ConnId id = id_of(record);
  bool turn = false;
  serve(record, ipc::Doing::Reading, [&] {
    record.pauses = static_cast<uint8_t>(record.pauses & ~record::kPauseTurn);
    if (record.pauses != 0 || record.phase == Phase::Closing) return;
    if ((record.flags & record::kFlagPeerClosed) == 0) arm(record, true, record.flags & record::kFlagWantWrite);
    if (holds_records(record)) {
      const size_t ciphertext = land_ciphertext(tls_state(record));
      turn = open_records(record, {arena_.cipher_landing(), ciphertext});
    } else if (record.carry_bytes > 0) {
      turn = true;
      dispatch(record, land_carry(record));
    }
    if (turn) commit_turn();
  });
  if (turn) write_turn(id);
  push_after_read(id);
  if (find(id) == nullptr || (record.flags & record::kFlagPeerClosed) == 0) return;
  serve(record, ipc::Doing::Reading, [&] { maybe_end(record); });
}

// --- Phases, deadlines, closing.

void Connections::enter_phase(Record& record, Phase phase) {
  BG_ASSERT(phase != Phase::Free && phase != Phase::Closing);
  record::touch(arena_, record);
  record.phase = phase;
  if (roots_by_http2(record)) ++http2_rooted_;
  const ConnId id = id_of(record);
  handler_of(record).on_enter(record);
  if (find(id) != nullptr && record.carry_bytes > 0 && !in_turn(record)) mark_ready(record);
}

void Connections::set_deadline(Record& record, int64_t at_ms) {
  record::touch_line(arena_, record);
  if (at_ms == 0) return wheel_.disarm(record);
  wheel_.arm(record, wheel_.tick_at(at_ms));
}

int64_t Connections::last_received_ms(const Record& record) const {
  return wheel_.time_of(record.last_received_tick);
}

bool Connections::peer_has_gone(const Record& record) const {
  if (record.flags & record::kFlagPeerClosed) return true;
  if (record.transport != record::Transport::Plain) return false;
  char next;
  const ssize_t got = recv(record.fd, &next, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

void Connections::tick(int64_t now_ms) {
  wheel_.advance(now_ms, [this](Record& record) {
    serve(record, ipc::Doing::Timer, [&] {
      if (record.phase == Phase::Closing) return free_record(record);
      handler_of(record).on_deadline(record);
    });
  });
}

// It can't leave the process, for its HTTP/2 alone.
bool Connections::roots_by_http2(const Record& record) const {
  return record.phase == Phase::Http2 && (record.transport == record::Transport::Plain || record.tls != kNull);
}

// The layer lets go; afterwards the connection is only a socket with bytes to flush.
void Connections::leave_phase(Record& record) {
  record::touch(arena_, record);
  PhaseHandler& handler = handler_of(record);
  if (roots_by_http2(record) && http2_rooted_ > 0) --http2_rooted_;  // A dead worker's was never counted.
  record.phase = Phase::Closing;
  handler.on_gone(record);
}

void Connections::close_gracefully(Record& record) {
  if (record.phase == Phase::Closing) return;
  leave_phase(record);
  if (!in_turn(record)) drop_carry(record);
  record.pauses = 0;
  set_deadline(record, monotonic_ms() + kFlushStallMs);
  if ((record.flags & record::kFlagPeerClosed) == 0) arm(record, true, record.flags & record::kFlagWantWrite);
  if (record.outbound_head == kNull && !in_turn(record)) begin_linger(record);
}

void Connections::close_after_last(Record& record) {
  record::touch(arena_, record);
  // One with TLS says its close_notify yet.
  if (record.transport != record::Transport::Tls && record.tls == kNull) record.flags |= record::kFlagPeerClosed;
  close_gracefully(record);
}

void Connections::close_now(Record& record) {
  if (record.phase != Phase::Closing) leave_phase(record);
  free_record(record);
}

void Connections::begin_linger(Record& record) {
  if (record.transport == record::Transport::Tls && !tls_ended(record)) return;
  if (record.flags & record::kFlagPeerClosed) {
    // Closing a socket ends it in order; a stream has to be told.
    if (StreamLink* link = link_of(record)) link->shut_write();
    return free_record(record);
  }
  if (record.flags & record::kFlagWriteShut) return;
  record::touch(arena_, record);
  record.flags |= record::kFlagWriteShut;
  if (StreamLink* link = link_of(record)) {
    link->shut_write();
  } else {
    shutdown(record.fd, SHUT_WR);
  }
  set_deadline(record, monotonic_ms() + kLingerMs);
}

}  // namespace beamgate::net
