// Adoption: the connections of a dead worker come to its successor, each as it was between two steps.
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "common/base/clock.h"
#include "worker/net/connections.h"
#include "worker/net/outbound_node.h"
#include "worker/net/tcp_counts.h"
#include "worker/record/frame.h"
#include "worker/record/text_block.h"
#include "worker/record/uid.h"

namespace beamgate::net {
namespace {

using record::Arena;
using record::ConnId;
using record::kNull;
using record::Phase;
using record::Record;
using record::Ref;

constexpr uint8_t kListFlags = record::kFlagDirty | record::kFlagReady | record::kFlagShared;

// Copies one block; false: the reference is damaged, or there is no memory.
bool copy_block(const Arena& from, Ref old, size_t bytes, Arena& to, Ref& copy) {
  copy = kNull;
  if (old == kNull) return true;
  const char* source = from.look(old, bytes);
  if (source == nullptr || (copy = to.allocate(bytes)) == kNull) return false;
  memcpy(to.at(copy), source, bytes);
  return true;
}

bool copy_text(const Arena& from, Ref old, Arena& to, Ref& copy) {
  copy = kNull;
  if (old == kNull) return true;
  const auto* length = from.look<uint32_t>(old);
  return length != nullptr && copy_block(from, old, sizeof *length + *length, to, copy);
}

// A window of compression: how large the block is, is all that is known of it here.
bool copy_whole(const Arena& from, Ref old, Arena& to, Ref& copy) {
  copy = kNull;
  return old == kNull || copy_block(from, old, from.look_capacity(old), to, copy);
}

bool plausible(const Record& record) {
  const bool has_socket = record.fd > 2 || record.transport == record::Transport::Stream;
  return record.phase <= record::kLastPhase && has_socket && record.carry_bytes < Arena::kLandingBytes / 2 &&
         (record.carry == kNull) == (record.carry_bytes == 0) && record.protocol <= record::kLastProtocol &&
         record.ws.close <= record::CloseState::Both;
}

// What makes sense of its bytes was in the heap of its worker.
bool is_rootless(const Arena& from, const Record& record) {
  if (record.transport == record::Transport::Stream || record.phase == Phase::Http2) return true;
  if (record.transport != record::Transport::Tls) return false;
  const auto* state = record.tls == kNull ? nullptr : from.look<record::TlsState>(record.tls);
  return state == nullptr || state->batch == record::TlsBatch::Through;
}

// Somebody was told that it is there.
bool is_waited_for(const Record& record) {
  return record.phase == Phase::WebSocket || record.phase == Phase::EventStream || record.phase == Phase::Line ||
         record.phase == Phase::LongPoll;
}

}  // namespace

Connections::Adopted Connections::adopt_all(const Arena& from, const ipc::Life::Now& now, bool blame,
                                            const std::vector<uint32_t>& restored, const IsOurs& is_ours,
                                            const Fill& fill) {
  Adopted adopted;
  // Requests that the dead worker was answering are counted no more; the connections that live on count anew.
  if (limits_.keys != nullptr) limits_.keys->drop_slot(limits_.slot);
  const uint32_t slots = std::min({from.vault().slots_touched, from.slots(), arena_.slots()});
  std::vector<ConnId> living;
  std::unordered_set<uint32_t> rootless;  // Slots of those whose TLS or HTTP/2 is gone: no byte makes sense any more.
  std::unordered_set<uint32_t> torn;      // Of those that are known, but not what has come and gone of their bytes.
  ConnId served;
  for (uint32_t slot = 0; slot < slots; ++slot) {
    const Record& old = from.records()[slot];
    Record& record = arena_.records()[slot];
    record.generation = old.generation;
    slots_touched_ = slot + 1;
    if (old.phase == Phase::Free) {
      free_slots_.push_back(slot);
      continue;
    }
    if (!plausible(old)) {  // A descriptor that is still in it is its own: clients_of().
      if (old.fd >= 0) ::close(old.fd);
      record.generation = old.generation + 1;
      free_slots_.push_back(slot);
      ++adopted.lost;
      adopted.lost_uids.push_back(old.uid);
      continue;
    }
    const bool was_frozen = (old.pauses & record::kPauseMove) != 0;
    if (was_frozen && !is_ours(old)) {
      close(old.fd);
      record.generation = old.generation + 1;
      free_slots_.push_back(slot);
      continue;
    }
    const bool is_served = now.uid != 0 && now.slot == slot && now.uid == old.uid;
    const bool whole = copy_record(from, old, record, fill);
    if (is_rootless(from, old)) rootless.insert(slot);
    ++active_;
    metrics_.add(metrics::Metric::ConnectionsActive);
    if (is_served) served = id_of(record);
    if (was_frozen) unfreeze(record);
    if (record::uid_slot(record.uid) != slot) slot_of_uid_[record.uid] = slot;
    const bool known = whole && (rootless.contains(slot) || (is_served ? reconcile(from, record) : is_as_known(record)));
    if (known || (whole && is_waited_for(record))) {
      living.push_back(id_of(record));
      if (!known) torn.insert(slot);
      continue;
    }
    ++adopted.lost;
    adopted.lost_uids.push_back(record.uid);
    record.phase = Phase::Closing;  // Nothing of it can be trusted to be told to its layer.
    free_record(record);
  }
  for (const uint32_t slot : restored) {
    if (slot < slots_touched_ && arena_.records()[slot].phase != Phase::Free) register_again(arena_.records()[slot]);
  }
  for (const ConnId id : living) {
    Record* record = find(id);
    if (record == nullptr) continue;
    index_record(*record);
    if (record->phase != Phase::Closing) handler_of(*record).on_adopted(*record);
    if ((record = find(id)) == nullptr) continue;
    if (rootless.contains(id.slot)) {
      ++adopted.tls;
      close_now(*record);
      continue;
    }
    if (torn.contains(id.slot)) {  // Most often its client has reset it; whoever waits for its end hears of it.
      ++adopted.lost;
      adopted.lost_uids.push_back(record->uid);
      close_now(*record);
      continue;
    }
    const bool in_exchange = record->phase == Phase::Http && record->flags & record::kFlagExchange;
    const bool blamed = blame && id == served;
    if (!in_exchange && !blamed) {
      ++adopted.connections;
      continue;
    }
    ++(blamed ? adopted.blamed : adopted.requests);
    close_now(*record);
  }
  for (const auto& [old, frame] : copied_frames_) record::release_frame(arena_, frame);
  copied_frames_.clear();
  return adopted;
}

bool Connections::copy_record(const Arena& from, const Record& old, Record& record, const Fill& fill) {
  record = old;
  record.saved_in_step = 0;
  record.carry = record.outbound_head = record.outbound_tail = kNull;
  record.message = record.user = record.app_state = record.handshake = kNull;
  record.ws.sent_history = record.ws.received_history = kNull;
  record.subscriptions = record.hook_head = record.hook_tail = record.extras = record.tls = kNull;
  record.subscription_count = 0;
  record.hook_messages = 0;
  record.flags = static_cast<uint8_t>(old.flags & ~kListFlags);
  record.pauses = static_cast<uint8_t>(old.pauses & ~(record::kPauseTurn | record::kPauseBus));
  if (old.pauses & record::kPauseMove) record.deadline_tick = old.move_deadline_tick;
  record.timer_next = record.timer_previous = 0;
  const bool has_tls = record.transport == record::Transport::Tls && !is_rootless(from, old);
  if (record.transport == record::Transport::Tls) record.transport = record::Transport::Plain;
  return (!has_tls || copy_tls(from, old, record)) && copy_block(from, old.carry, old.carry_bytes, arena_, record.carry) &&
         copy_block(from, old.message, old.message_bytes, arena_, record.message) &&
         copy_text(from, old.user, arena_, record.user) && copy_text(from, old.app_state, arena_, record.app_state) &&
         copy_text(from, old.handshake, arena_, record.handshake) &&
         copy_whole(from, old.ws.sent_history, arena_, record.ws.sent_history) &&
         copy_whole(from, old.ws.received_history, arena_, record.ws.received_history) &&
         copy_extras(from, old, record) && copy_outbound(from, old, record) && fill(old, record);
}

bool Connections::copy_extras(const Arena& from, const Record& old, Record& record) {
  if (old.extras == kNull) return true;
  const auto* extras = from.look<record::Extras>(old.extras);
  return extras != nullptr && restore_extras(record, *extras);
}

// A move that nobody goes on with: the connection is in no set and on no wheel.
void Connections::unfreeze(Record& record) {
  record.pauses = static_cast<uint8_t>(record.pauses & ~record::kPauseMove);
  record.move_page = record.move_place = 0;
  const bool seals = record.tls != kNull && tls_state(record).wants_to_seal();
  if (record.outbound_head == kNull && !seals) record.flags = static_cast<uint8_t>(record.flags & ~record::kFlagWantWrite);
  register_again(record);
}

// The list's end is its tail: the link behind it may be of a step that was taken back.
bool Connections::copy_outbound(const Arena& from, const Record& old, Record& record) {
  record.outbound_offset = record.outbound_bytes = 0;
  Ref at = old.outbound_head;
  while (at != kNull) {
    const auto* node = from.look<OutboundNode>(at);
    const auto* header = node == nullptr ? nullptr : from.look<record::FrameHeader>(node->frame);
    if (header == nullptr || from.look(node->frame, sizeof *header + size_t{header->bytes}) == nullptr) return false;
    if (header->bytes > old.outbound_bytes + old.outbound_offset) return false;
    // What many connections were to be sent is copied once.
    Ref& copy = copied_frames_[node->frame];
    if (copy == kNull) {
      copy = record::make_frame(arena_, std::string_view(reinterpret_cast<const char*>(header + 1), header->bytes));
      if (copy == kNull) return false;
    }
    if (!append_frame(record, copy)) return false;
    record::retain_frame(arena_, copy);
    if (record.outbound_bytes > old.outbound_bytes + old.outbound_offset) return false;
    if (at == old.outbound_tail) break;
    at = node->next;
  }
  if (record.outbound_bytes != old.outbound_bytes + old.outbound_offset) return false;
  record.outbound_offset = old.outbound_offset;
  record.outbound_bytes = old.outbound_bytes;
  return true;
}

// What the kernel has moved for the connection that was served, and the record doesn't know of.
bool Connections::reconcile(const Arena& from, Record& record) {
  if (record.tls != kNull) return reconcile_records(from, record);
  const auto counts = tcp_counts(record.fd);
  if (!counts) return false;
  // What a closing connection gets is thrown away, and not counted.
  const uint64_t read = record.phase == Phase::Closing ? 0 : counts->consumed - record.bytes_received;
  if (read > 0) {
    const uint64_t carried = from.stage().carried;
    if (read > kReadBytes || carried != record.carry_bytes) return false;
    const auto bytes = static_cast<size_t>(carried + read);
    const Ref carry = arena_.allocate(bytes);
    if (carry == kNull) return false;
    memcpy(arena_.at(carry), from.landing(), bytes);
    arena_.release(record.carry);
    record.carry = carry;
    record.carry_bytes = static_cast<uint32_t>(bytes);
    record.bytes_received += read;
  }
  const uint64_t written = counts->written - record.bytes_sent;
  const uint64_t turn_bytes = std::min<uint64_t>(from.stage().turn_bytes, Arena::kTurnBytes);
  if (turn_bytes > 0) {
    if (written > turn_bytes || record.outbound_head != kNull) return false;
    const std::string_view turn(from.turn_buffer(), static_cast<size_t>(turn_bytes));
    if (written < turn_bytes && !queue_copy(record, turn, {})) return false;
    if (written == turn_bytes) {
      record.bytes_sent += written;
      return true;
    }
  }
  if (written > record.outbound_bytes) return false;
  record.bytes_sent += written;
  consume_outbound(record, static_cast<size_t>(written));
  return true;
}

// False: bytes were sealed and sent uncommitted, for an exchange that was not being served.  Nothing must ever be sealed
// in their place.
bool Connections::is_as_known(const Record& record) const {
  if (record.tls == kNull || (record.flags & record::kFlagExchange) == 0) return true;
  const auto counts = tcp_counts(record.fd);
  return counts && counts->written == record.bytes_sent;
}

// Into the lists and the wheel, which are no part of the record.
void Connections::index_record(Record& record) {
  users_.set(slot_of(record), record::text_of(arena_, record.user));
  const uint32_t deadline = std::exchange(record.deadline_tick, 0);
  if (deadline != 0) wheel_.arm(record, std::max(deadline, wheel_.now_tick() + 1));
  // A deadline that was about to be dealt with is none any more.
  if (deadline == 0 && record.phase == Phase::Closing) set_deadline(record, monotonic_ms() + kFlushStallMs);
  if (record.outbound_head != kNull || (record.tls != kNull && tls_state(record).wants_to_seal())) mark_dirty(record);
  const bool goes_on = record.carry_bytes > 0 || holds_records(record) || record.flags & record::kFlagPeerClosed;
  if (goes_on && record.phase != Phase::Closing) mark_ready(record);
}

void Connections::register_again(Record& record) {
  const uint32_t events = (record.flags & record::kFlagReadArmed ? EPOLLIN : 0u) |
                          (record.flags & record::kFlagWantWrite ? EPOLLOUT : 0u);
  if (record.transport == record::Transport::Stream) return;
  poller_.register_client(record.fd, token_for(slot_of(record), record.generation), events);
}

}  // namespace beamgate::net
