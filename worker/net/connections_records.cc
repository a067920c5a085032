// The part of Connections for TLS 1.3 whose records are ours (record/tls_state.h): a step is as for a plain connection,
// and what differs is that bytes are opened before they are handled and sealed after they are committed.
//
//   read    ciphertext lands in the arena; records are opened into the landing zone; the step counts them
//   write   settle_batch() in a step, sealing and send(2) behind its commit, batch_moved() in the next step
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/base/clock.h"
#include "common/fault/fault.h"
#include "worker/net/connections.h"
#include "worker/net/outbound_node.h"
#include "worker/net/tcp_counts.h"
#include "worker/record/frame.h"

namespace beamgate::net {

using metrics::Metric;
using record::ConnId;
using record::kNull;
using record::Record;
using record::Ref;
using record::TlsBatch;
using record::TlsState;
using tls::RecordLayer;

namespace {

// In time our keys change, before anything else is sealed (RFC 8446 section 5.5).
void count_sealed(tls::Progress& progress, size_t records) {
  progress.sealed += records;
  if (progress.sealed >= RecordLayer::kRecordsPerKey) progress.owes_key_update = 1;
}

}  // namespace

static_assert(TlsState::kBatchBytesMax == TlsLinks::kSealBytes && TlsLinks::kSealBytes >= record::Arena::kTurnBytes);

TlsState& Connections::tls_state(const Record& record) const { return *arena_.at<TlsState>(record.tls); }

TlsState& Connections::touch_tls(const Record& record) {
  TlsState& state = tls_state(record);
  arena_.save_secret(state);
  return state;
}

// A state, but for its carry, with what was negotiated behind it.  False: the arena is full.
bool Connections::keep_tls(Record& record, const TlsState& state, std::string_view negotiated) {
  const Ref ref = arena_.allocate(sizeof state + negotiated.size());
  if (ref == kNull) return false;
  TlsState& kept = *arena_.at<TlsState>(ref);
  kept = state;
  kept.carry = kNull;
  kept.carry_bytes = 0;
  kept.negotiated_bytes = static_cast<uint32_t>(negotiated.size());
  memcpy(&kept + 1, negotiated.data(), negotiated.size());
  record.tls = ref;
  return true;
}

void Connections::release_tls(Record& record) {
  if (record.tls != kNull) {
    arena_.release(tls_state(record).carry);
    arena_.release_secret(record.tls);
    record.tls = kNull;
  }
  tls_.close(slot_of(record));
}

// The handshake is done.  False: the session stays with OpenSSL.
bool Connections::take_over_tls(Record& record) {
  const uint32_t slot = slot_of(record);
  const tls::Protection* protection = tls_.session(slot).take_over();
  if (protection == nullptr) return false;
  const std::string negotiated = tls_.negotiated(slot)->pack();
  if (negotiated.empty() || !keep_tls(record, {}, negotiated)) return false;
  TlsState& state = tls_state(record);
  state.protection = *protection;
  if (tls_.waits(slot)) state.batch = TlsBatch::Through;
  tls_.take_over(slot);
  return true;
}

// --- Reading.

// As receive().
bool Connections::receive_records(Record& record) {
  const TlsState& state = tls_state(record);
  char* const landing = arena_.cipher_landing();
  const size_t carried = land_ciphertext(state);
  const ssize_t received = recv(record.fd, landing + carried, kReadBytes, 0);
  fault::linger();
  if (received <= 0) return received_nothing(record, received), false;
  const auto bytes = static_cast<size_t>(received);
  record.bytes_received += bytes;
  record.last_received_tick = wheel_.now_tick();
  metrics_.add(Metric::BytesReceived, bytes);
  return open_records(record, {landing, carried + bytes});
}

// The ciphertext of a record that has come in part, copied to where the rest will follow it.
size_t Connections::land_ciphertext(const TlsState& state) {
  if (state.carry_bytes > 0) memcpy(arena_.cipher_landing(), arena_.at(state.carry), state.carry_bytes);
  arena_.stage().ciphertext = state.carry_bytes;
  return state.carry_bytes;
}

// `ciphertext` is the whole of the carry and what came after it.  True: bytes were dispatched.
bool Connections::open_records(Record& record, std::span<const char> ciphertext) {
  const ConnId id = id_of(record);
  TlsState& state = touch_tls(record);
  const size_t carried = land_carry(record).size();
  const std::span<char> into(arena_.landing() + carried, record::Arena::kLandingBytes / 2);
  const RecordLayer::Opened opened = tls_.records(id.slot).open(state.protection, ciphertext, into);
  if (!keep_ciphertext(state, ciphertext.subspan(opened.used))) return close_for_memory(record), false;
  const bool dispatches = opened.plaintext > 0;
  if (dispatches) dispatch(record, {arena_.landing(), carried + opened.plaintext});
  if (find(id) == nullptr) return dispatches;
  if (opened.failure) {
    end_insecurely(record, opened);
  } else if (tls_state(record).protection.progress.received_close && !(record.flags & record::kFlagPeerClosed)) {
    // close_notify is the end of the peer's bytes, as FIN is on a plain connection.
    record.flags |= record::kFlagPeerClosed;
    arm(record, false, record.flags & record::kFlagWantWrite);
    mark_ready(record);
  }
  return dispatches;
}

// False: the arena is full.
bool Connections::keep_ciphertext(TlsState& state, std::span<const char> rest) {
  arena_.release(state.carry);
  state.carry = kNull;
  state.carry_bytes = 0;
  if (rest.empty()) return true;
  state.carry = arena_.allocate(rest.size());
  if (state.carry == kNull) return false;
  memcpy(arena_.at(state.carry), rest.data(), rest.size());
  state.carry_bytes = static_cast<uint32_t>(rest.size());
  return true;
}

// Whole records in the carry: it is that of a connection which was adopted in the middle of a read.
bool Connections::holds_records(const Record& record) const {
  if (record.tls == kNull) return false;
  const TlsState& state = tls_state(record);
  return state.carry_bytes > 0 && RecordLayer::holds_record({arena_.at(state.carry), state.carry_bytes});
}

// TLS itself has something to say, and the kernel may have room for it.
bool Connections::seals_now(const Record& record) const {
  return tls_state(record).wants_to_seal() && (record.flags & record::kFlagWantWrite) == 0;
}

// What came can't be opened, or the peer has given up: an alert says why, if it finds room.
void Connections::end_insecurely(Record& record, const RecordLayer::Opened& opened) {
  const TlsState& state = tls_state(record);
  const uint32_t slot = slot_of(record);
  std::string& alert = tls_.scratch();
  const bool tells = opened.answer && !state.has_batch() && !state.said_close;
  if (tells && tls_.records(slot).seal_alert(state.protection, *opened.failure, alert)) {
    size_t moved = 0;
    static_cast<void>(tls_.push_fresh(slot, record.fd, alert, moved));
    count_moved(record, moved);
  }
  close_now(record);
}

// --- Writing.

void Connections::count_moved(Record& record, size_t bytes) {
  record.bytes_sent += bytes;
  metrics_.add(Metric::BytesSent, bytes);
}

// The turn becomes a batch.  False: something else has to leave first.
bool Connections::settle_turn(const Record& record, size_t bytes) {
  if (tls_state(record).wants_to_seal()) return false;
  TlsState& state = touch_tls(record);
  state.batch = TlsBatch::Queue;
  state.batch_bytes = static_cast<uint32_t>(bytes);
  state.batch_sent = 0;
  return true;
}

// What is to be sealed next.  False: nothing, or what is under way has to be done first.
bool Connections::settle_batch(const Record& record) {
  TlsState& state = tls_state(record);
  if (state.has_batch()) return true;
  if (state.said_close || (!state.wants_to_seal() && record.outbound_head == kNull)) return false;
  arena_.save_secret(state);
  state.batch = state.protection.progress.owes_key_update ? TlsBatch::KeyUpdate : TlsBatch::Queue;
  state.batch_bytes = std::min(record.outbound_bytes, TlsState::kBatchBytesMax);
  state.batch_sent = 0;
  return true;
}

// Seals the batch, whose plaintext is `turn` or, if that is empty, at the head of the queue.
bool Connections::seal_batch(const Record& record, std::string_view turn, std::string& out) {
  const TlsState& state = tls_state(record);
  RecordLayer& records = tls_.records(slot_of(record));
  switch (state.batch) {
    case TlsBatch::KeyUpdate: return records.seal_key_update(state.protection, out);
    case TlsBatch::Close: return records.seal_alert(state.protection, RecordLayer::Alert::CloseNotify, out);
    case TlsBatch::Queue: break;
    default: return false;
  }
  if (!turn.empty()) return records.seal(state.protection, turn, out);
  std::string& plaintext = tls_.plaintext();
  size_t skipped = record.outbound_offset;
  for (Ref at = record.outbound_head; at != kNull && plaintext.size() < state.batch_bytes;) {
    const OutboundNode* node = arena_.at<OutboundNode>(at);
    const std::span<char> bytes = record::frame_bytes(arena_, node->frame).subspan(skipped);
    const bool is_all = plaintext.empty() && bytes.size() >= state.batch_bytes;
    if (is_all) return records.seal(state.protection, {bytes.data(), state.batch_bytes}, out);
    plaintext.append(bytes.data(), std::min(bytes.size(), state.batch_bytes - plaintext.size()));
    skipped = 0;
    at = node->next;
  }
  return records.seal(state.protection, plaintext, out);
}

// Writes the batch as far as the kernel takes it.  Outside of any step.
TlsLinks::Push Connections::push_batch(const Record& record, std::string_view turn, size_t& moved) {
  const uint32_t slot = slot_of(record);
  const TlsState& state = tls_state(record);
  if (tls_.holds(slot) || state.batch == TlsBatch::Through) return tls_.push_held(slot, record.fd, moved);
  std::string& sealed = tls_.scratch();
  if (!seal_batch(record, turn, sealed)) return TlsLinks::Push::Failed;
  return tls_.push_fresh(slot, record.fd, std::string_view(sealed).substr(state.batch_sent), moved);
}

// In a step: so much of the batch has gone to the kernel.  done: all of it.
void Connections::batch_moved(Record& record, size_t moved, bool done) {
  record::touch(arena_, record);
  count_moved(record, moved);
  if (record.phase == record::Phase::Closing && moved > 0) set_deadline(record, monotonic_ms() + kFlushStallMs);
  TlsState& state = touch_tls(record);
  state.batch_sent += static_cast<uint32_t>(moved);
  if (done) end_batch(record, state);
}

void Connections::end_batch(const Record& record, TlsState& state) {
  tls::Progress& progress = state.protection.progress;
  switch (state.batch) {
    case TlsBatch::Queue: count_sealed(progress, RecordLayer::records_for(state.batch_bytes)); break;
    case TlsBatch::KeyUpdate: tls_.records(slot_of(record)).update_own_keys(state.protection); break;
    case TlsBatch::Close:
      state.said_close = 1;
      count_sealed(progress, 1);
      break;
    default: break;  // Counted when it was sealed.
  }
  state.batch = TlsBatch::None;
  state.batch_bytes = state.batch_sent = 0;
}

// As flush().
void Connections::flush_records(Record& record) {
  const ConnId id = id_of(record);
  const bool awaited = record.outbound_head != kNull || record.flags & record::kFlagWantWrite;
  const auto next = [&] {
    if (!settle_batch(record)) flushed(record, awaited);
  };
  if (!tls_state(record).has_batch()) serve(record, ipc::Doing::Writing, next);
  while (find(id) != nullptr && tls_state(record).has_batch()) {
    size_t moved = 0;
    say_now(record, ipc::Doing::Writing);
    const TlsLinks::Push pushed = push_batch(record, {}, moved);
    fault::linger();
    serve(record, ipc::Doing::Writing, [&] {
      if (pushed == TlsLinks::Push::Failed) return close_now(record);
      const bool done = pushed == TlsLinks::Push::Done;
      const uint32_t plaintext = tls_state(record).settled_bytes();
      batch_moved(record, moved, done);
      if (!done) return arm(record, record.flags & record::kFlagReadArmed, true);
      consume_outbound(record, plaintext);
      next();
    });
    if (pushed != TlsLinks::Push::Done) return;
  }
}

// As write_turn(), the turn being the batch: what the kernel doesn't take of it goes into the queue whole.
void Connections::write_turn_records(Record& record, std::string_view turn) {
  say_now(record, ipc::Doing::Writing);
  size_t moved = 0;
  const TlsLinks::Push pushed = push_batch(record, turn, moved);
  fault::linger();
  serve(record, ipc::Doing::Writing, [&] {
    arena_.save(arena_.stage().turn_bytes);
    arena_.stage().turn_bytes = 0;
    const bool done = pushed == TlsLinks::Push::Done;
    batch_moved(record, moved, done);
    if (done) return turn_left(record);
    if (!queue_copy(record, turn, {})) return close_for_memory(record);
    arm(record, record.flags & record::kFlagReadArmed, true);
  });
}

// Seals and writes bytes that are in no queue, uncommitted, until the kernel has enough; returns how many were taken.
size_t Connections::write_through(Record& record, std::string_view bytes) {
  const uint32_t slot = slot_of(record);
  size_t taken = 0;
  while (taken < bytes.size() && !tls_state(record).wants_to_seal()) {
    const std::string_view part = bytes.substr(taken, TlsState::kBatchBytesMax);
    std::string& sealed = tls_.scratch();
    TlsState& state = touch_tls(record);
    if (!tls_.records(slot).seal(state.protection, part, sealed)) break;
    count_sealed(state.protection.progress, RecordLayer::records_for(part.size()));
    size_t moved = 0;
    // An error other than a full buffer shows again when the rest is written.
    if (tls_.push_fresh(slot, record.fd, sealed, moved) != TlsLinks::Push::Done) state.batch = TlsBatch::Through;
    count_moved(record, moved);
    taken += part.size();
  }
  return taken;
}

bool Connections::send_through_records(Record& record, std::string_view bytes) {
  if (record.outbound_head != kNull || tls_state(record).wants_to_seal()) return send(record, bytes);
  if (bytes.size() > outbound_room(record)) return false;
  record::touch(arena_, record);
  const size_t taken = write_through(record, bytes);
  if (taken == bytes.size() && !tls_state(record).has_batch()) return true;
  if (taken < bytes.size() && !queue_copy(record, bytes.substr(taken), {})) return false;
  await_writable(record);
  return true;
}

// As sendfile(): the kernel can't seal, so the bytes come through here.
Result<size_t> Connections::send_file_records(Record& record, int file, off_t& offset, size_t count) {
  if (tls_state(record).wants_to_seal()) {
    await_writable(record);
    return Error{Code::WouldBlock, 0, "the kernel's buffer is full"};
  }
  const std::span<char> piece = tls_.landing();
  const ssize_t got = pread(file, piece.data(), std::min(piece.size(), count), offset);
  if (got < 0) return system_error("can't read the file");
  const size_t taken = write_through(record, {piece.data(), static_cast<size_t>(got)});
  if (taken < static_cast<size_t>(got)) return Error{Code::System, 0, "can't seal"};
  offset += static_cast<off_t>(taken);
  if (tls_state(record).has_batch()) await_writable(record);
  return taken;
}

// close_notify comes behind everything else and before FIN.  False: it is still to leave.
bool Connections::records_ended(Record& record) {
  if (tls_state(record).said_close || record.flags & record::kFlagWriteShut) return true;
  if (tls_state(record).has_batch()) return false;
  TlsState& state = touch_tls(record);
  state.batch = TlsBatch::Close;
  state.batch_sent = 0;
  mark_dirty(record);
  return false;
}

// --- Coming from elsewhere.

std::string_view Connections::negotiated_bytes(const Record& record) const {
  const TlsState& state = tls_state(record);
  return {reinterpret_cast<const char*>(&state + 1), state.negotiated_bytes};
}

std::string_view Connections::tls_carry(const Record& record) const {
  const TlsState& state = tls_state(record);
  return state.carry_bytes == 0 ? std::string_view() : std::string_view(arena_.at(state.carry), state.carry_bytes);
}

// False: it makes no sense, or there is no memory.
bool Connections::restore_tls(Record& record, const TlsState& from, std::string_view carry, std::string_view negotiated) {
  if (!from.is_sound() || carry.size() > TlsState::kCarryBytesMax) return false;
  auto unpacked = tls::Negotiated::unpack(negotiated, tls::name_of(from.protection.suite));
  if (!unpacked) return false;
  if (!keep_tls(record, from, negotiated)) return false;
  tls_.restore(slot_of(record), std::move(*unpacked));
  record.transport = record::Transport::Tls;
  return keep_ciphertext(tls_state(record), {carry.data(), carry.size()});
}

bool Connections::copy_tls(const record::Arena& from, const Record& old, Record& record) {
  const auto* state = from.look<TlsState>(old.tls);
  if (state == nullptr || state->negotiated_bytes > tls::Negotiated::kPackedBytesMax) return false;
  const char* whole = from.look(old.tls, sizeof *state + state->negotiated_bytes);
  const char* carry = state->carry_bytes == 0 ? "" : from.look(state->carry, state->carry_bytes);
  if (whole == nullptr || carry == nullptr) return false;
  return restore_tls(record, *state, {carry, state->carry_bytes}, {whole + sizeof *state, state->negotiated_bytes});
}

// As reconcile(), where what the kernel has moved is ciphertext.
bool Connections::reconcile_records(const record::Arena& from, Record& record) {
  const auto counts = tcp_counts(record.fd);
  if (!counts) return false;
  TlsState& state = tls_state(record);
  const uint64_t read = record.phase == record::Phase::Closing ? 0 : counts->consumed - record.bytes_received;
  if (read > 0) {
    const uint64_t carried = from.stage().ciphertext;
    if (read > kReadBytes || carried != state.carry_bytes) return false;
    if (!keep_ciphertext(state, {from.cipher_landing(), static_cast<size_t>(carried + read)})) return false;
    record.bytes_received += read;
  }
  const uint64_t written = counts->written - record.bytes_sent;
  const uint64_t turn_bytes = std::min<uint64_t>(from.stage().turn_bytes, record::Arena::kTurnBytes);
  const size_t sealed = state.sealed_bytes();
  if (written > sealed - state.batch_sent) return false;
  const bool done = written == sealed - state.batch_sent && state.has_batch();
  if (turn_bytes > 0) {
    if (state.batch_bytes != turn_bytes || record.outbound_head != kNull) return false;
    const std::string_view turn(from.turn_buffer(), static_cast<size_t>(turn_bytes));
    if (!done && !queue_copy(record, turn, {})) return false;
  } else if (state.settled_bytes() > record.outbound_bytes) {
    return false;
  }
  const uint32_t plaintext = turn_bytes > 0 ? 0 : state.settled_bytes();
  record.bytes_sent += written;
  state.batch_sent += static_cast<uint32_t>(written);
  if (!done) return true;
  consume_outbound(record, plaintext);
  end_batch(record, state);
  return true;
}

}  // namespace beamgate::net
