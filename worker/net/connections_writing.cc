// The writing half of Connections: turn buffers, outbound queues, rounds of shared frames.
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/base/clock.h"
#include "common/fault/fault.h"
#include "worker/net/connections.h"
#include "worker/net/outbound_node.h"
#include "worker/record/frame.h"

namespace beamgate::net {
namespace {

using metrics::Metric;
using record::ConnId;
using record::kNull;
using record::Phase;
using record::Record;
using record::Ref;

constexpr size_t kIovecsMax = 64;
constexpr size_t kThroughBytesMin = 8 << 10;  // Less is copied: it leaves with what else the turn has for the client.

}  // namespace

void Connections::count_sent(Record& record, size_t bytes) {
  count_moved(record, record.transport == record::Transport::Tls ? tls_.take_written() : bytes);
}

bool Connections::in_turn(const Record& record) const { return turn_.id == id_of(record); }

size_t Connections::outbound_queued(const Record& record) const {
  return record.outbound_bytes + (in_turn(record) ? turn_.bytes : 0);
}

size_t Connections::outbound_room(const Record& record) const {
  const size_t queued = outbound_queued(record);
  return queued < record.outbound_limit ? record.outbound_limit - queued : 0;
}

bool Connections::send(Record& record, std::string_view bytes) { return send(record, bytes, {}); }

bool Connections::send(Record& record, std::string_view head, std::string_view body) {
  const size_t size = head.size() + body.size();
  if (size > outbound_room(record)) return false;
  const bool collects = in_turn(record) && record.outbound_head == kNull;
  if (!collects || turn_.bytes + size > record::Arena::kTurnBytes) {
    if (collects && !spill_turn(record)) return false;
    return queue_copy(record, head, body);
  }
  char* to = arena_.turn_buffer() + turn_.bytes;
  memcpy(to, head.data(), head.size());
  if (!body.empty()) memcpy(to + head.size(), body.data(), body.size());
  turn_.bytes += size;
  return true;
}

// Gathers what is queued; returns how many vectors that takes.
size_t Connections::gather_outbound(const Record& record, std::span<iovec> vectors) const {
  size_t count = 0;
  size_t offset = record.outbound_offset;
  for (Ref at = record.outbound_head; at != kNull && count < vectors.size();) {
    const OutboundNode* node = arena_.at<OutboundNode>(at);
    const std::span<char> bytes = record::frame_bytes(arena_, node->frame).subspan(offset);
    vectors[count++] = {bytes.data(), bytes.size()};
    offset = 0;
    at = node->next;
  }
  return count;
}

bool Connections::send_through(Record& record, std::string_view bytes) {
  if (record.tls != kNull && !in_turn(record)) return send_through_records(record, bytes);
  iovec vectors[kIovecsMax];
  const bool waits = in_turn(record) || (record.flags & record::kFlagWantWrite) != 0 || tls_waits(record);
  const size_t queued = waits ? 0 : gather_outbound(record, vectors);
  if (waits || bytes.size() < kThroughBytesMin || queued == kIovecsMax) return send(record, bytes);
  if (bytes.size() > outbound_room(record)) return false;
  vectors[queued] = {const_cast<char*>(bytes.data()), bytes.size()};
  record::touch(arena_, record);
  const ssize_t sent = write_some(record, vectors, queued + 1);
  // An error other than a full buffer shows again when the queue is written.
  size_t written = sent > 0 ? static_cast<size_t>(sent) : 0;
  count_sent(record, written);
  const size_t of_queue = std::min<size_t>(written, record.outbound_bytes);
  consume_outbound(record, of_queue);
  written -= of_queue;
  if (written == bytes.size() && !tls_waits(record)) return true;
  if (written < bytes.size() && !queue_copy(record, bytes.substr(written), {})) return false;
  await_writable(record);
  return true;
}

bool Connections::send_frame(Record& record, Ref frame) {
  const size_t size = record::frame_bytes(arena_, frame).size();
  if (size > outbound_room(record)) return false;
  if (in_turn(record) && !spill_turn(record)) return false;
  if (!append_frame(record, frame)) return false;
  record::retain_frame(arena_, frame);
  mark_shared(record);
  return true;
}

bool Connections::queue_copy(Record& record, std::string_view head, std::string_view body) {
  const Ref frame = record::make_frame(arena_, head.size() + body.size());
  if (frame == kNull) return false;
  char* to = record::frame_bytes(arena_, frame).data();
  memcpy(to, head.data(), head.size());
  if (!body.empty()) memcpy(to + head.size(), body.data(), body.size());
  if (!append_frame(record, frame)) {
    record::release_frame(arena_, frame);
    return false;
  }
  mark_dirty(record);
  return true;
}

std::vector<std::string_view> Connections::outbound_frames(const Record& record) const {
  std::vector<std::string_view> frames;
  for (Ref at = record.outbound_head; at != kNull; at = arena_.at<OutboundNode>(at)->next) {
    const std::span<char> bytes = record::frame_bytes(arena_, arena_.at<OutboundNode>(at)->frame);
    frames.emplace_back(bytes.data(), bytes.size());
  }
  return frames;
}

bool Connections::restore_frame(Record& record, std::string_view bytes) { return queue_copy(record, bytes, {}); }

// Takes over one reference of the frame when it succeeds.
bool Connections::append_frame(Record& record, Ref frame) {
  const Ref node = arena_.allocate(sizeof(OutboundNode));
  if (node == kNull) return false;
  *arena_.at<OutboundNode>(node) = OutboundNode{kNull, frame};
  record::touch_line(arena_, record);
  if (record.outbound_head == kNull) {
    record.outbound_head = node;
  } else {
    arena_.at<OutboundNode>(record.outbound_tail)->next = node;
  }
  record.outbound_tail = node;
  record.outbound_bytes += static_cast<uint32_t>(record::frame_bytes(arena_, frame).size());
  return true;
}

// Removes the oldest frame; its bytes that are not with the kernel leave outbound_bytes.
void Connections::pop_frame(Record& record) {
  const Ref head = record.outbound_head;
  const OutboundNode node = *arena_.at<OutboundNode>(head);
  const auto size = static_cast<uint32_t>(record::frame_bytes(arena_, node.frame).size());
  record.outbound_bytes -= size - record.outbound_offset;
  record.outbound_offset = 0;
  record.outbound_head = node.next;
  if (node.next == kNull) record.outbound_tail = kNull;
  record::release_frame(arena_, node.frame);
  arena_.release(head);
}

uint32_t Connections::drop_oldest(Record& record, size_t bytes) {
  if (record.outbound_head == kNull) return 0;
  record::touch(arena_, record);
  uint32_t dropped = 0;
  size_t gone = 0;
  // A frame that the kernel has begun must be finished, or the stream is broken; and what is settled must be sealed.
  size_t begun = record.outbound_offset + (record.tls == kNull ? 0 : tls_state(record).settled_bytes());
  Ref keep = kNull;
  for (Ref at = record.outbound_head; begun > 0 && at != kNull; at = arena_.at<OutboundNode>(at)->next) {
    keep = at;
    begun -= std::min(begun, record::frame_bytes(arena_, arena_.at<OutboundNode>(at)->frame).size());
  }
  while (gone < bytes) {
    const Ref victim = keep == kNull ? record.outbound_head : arena_.at<OutboundNode>(keep)->next;
    if (victim == kNull) break;
    const OutboundNode node = *arena_.at<OutboundNode>(victim);
    const size_t size = record::frame_bytes(arena_, node.frame).size();
    if (keep == kNull) {
      record.outbound_head = node.next;
    } else {
      arena_.save(*arena_.at<OutboundNode>(keep));
      arena_.at<OutboundNode>(keep)->next = node.next;
    }
    if (record.outbound_tail == victim) record.outbound_tail = keep;
    record.outbound_bytes -= static_cast<uint32_t>(size);
    record::release_frame(arena_, node.frame);
    arena_.release(victim);
    gone += size;
    ++dropped;
  }
  return dropped;
}

void Connections::begin_turn(const Record& record) {
  turn_.id = id_of(record);
  turn_.bytes = 0;
}

// What the turn has collected goes into the queue: something else has to follow it.  False: the arena is full.
bool Connections::spill_turn(Record& record) {
  const size_t bytes = std::exchange(turn_.bytes, 0);
  return bytes == 0 || queue_copy(record, {arena_.turn_buffer(), bytes}, {});
}

// Last in the step: what the turn has collected is part of it, to be written behind its commit.
void Connections::commit_turn() {
  Record* record = find(turn_.id);
  if (record == nullptr) turn_ = {};
  if (turn_.bytes == 0) return;
  const bool waits = record->flags & record::kFlagWantWrite;
  if (waits || (record->tls != kNull && !settle_turn(*record, turn_.bytes))) {
    if (!spill_turn(*record)) close_for_memory(*record);
    return;
  }
  arena_.save(arena_.stage().turn_bytes);
  arena_.stage().turn_bytes = static_cast<uint32_t>(turn_.bytes);
}

void Connections::write_turn(ConnId id) {
  const size_t bytes = turn_.bytes;
  turn_ = {};
  Record* record = find(id);
  if (record == nullptr) return;
  if (bytes == 0) {
    if (record->phase != Phase::Closing || record->outbound_head != kNull) return;
    return serve(*record, ipc::Doing::Closing, [&] { begin_linger(*record); });
  }
  if (record->tls != kNull) return write_turn_records(*record, {arena_.turn_buffer(), bytes});
  say_now(*record, ipc::Doing::Writing);
  const iovec turn{arena_.turn_buffer(), bytes};
  const bool plain = record->transport == record::Transport::Plain;
  const ssize_t sent = plain ? ::send(record->fd, turn.iov_base, bytes, MSG_NOSIGNAL) : write_some(*record, &turn, 1);
  fault::linger();
  // An error other than a full buffer shows again when the socket is read.
  serve(*record, ipc::Doing::Writing, [&] { turn_written(*record, sent > 0 ? static_cast<size_t>(sent) : 0); });
}

void Connections::turn_written(Record& record, size_t written) {
  const size_t bytes = arena_.stage().turn_bytes;
  arena_.save(arena_.stage().turn_bytes);
  arena_.stage().turn_bytes = 0;
  count_sent(record, written);
  if (written < bytes) {
    // What the kernel has begun mustn't be dropped from the queue, so its last byte marks the frame as begun.
    const size_t begun = written > 0 ? 1 : 0;
    // The arena may be full, and a part already out: the stream can't be kept whole then.
    if (!queue_copy(record, {arena_.turn_buffer() + written - begun, bytes - written + begun}, {})) {
      return close_for_memory(record);
    }
    record.outbound_offset = static_cast<uint32_t>(begun);
    record.outbound_bytes -= static_cast<uint32_t>(begun);
    return;
  }
  turn_left(record);
}

// All of the turn is with the kernel.
void Connections::turn_left(Record& record) {
  if (record.outbound_head != kNull) return;
  if (tls_waits(record)) return arm(record, record.flags & record::kFlagReadArmed, true);
  if (record.phase == Phase::Closing) return begin_linger(record);
  handler_of(record).on_drained(record);
}

Result<size_t> Connections::send_file(Record& record, int file, off_t& offset, size_t count) {
  // Behind what the turn has collected, and behind its commit: in a turn of its own.
  if (in_turn(record)) {
    if (!spill_turn(record)) return Error{Code::LimitReached, 0, "out of memory"};
    if (record.outbound_head == kNull) await_writable(record);
    before_file_ = id_of(record);
    return Error{Code::WouldBlock, 0, "earlier output is still queued"};
  }
  if (record.outbound_head != kNull) return Error{Code::WouldBlock, 0, "earlier output is still queued"};
  record::touch(arena_, record);
  if (record.tls != kNull) return send_file_records(record, file, offset, count);
  const bool tls = record.transport == record::Transport::Tls;
  const ssize_t sent = tls ? send_file_tls(record, file, offset, count) : sendfile(record.fd, file, &offset, count);
  const Error failed = system_error("sendfile failed");
  count_sent(record, sent > 0 ? static_cast<size_t>(sent) : 0);
  if (tls_waits(record)) await_writable(record);
  if (sent >= 0) return static_cast<size_t>(sent);
  if (failed.sys_errno != EAGAIN && failed.sys_errno != EINTR) return failed;
  await_writable(record);
  return Error{Code::WouldBlock, 0, "the kernel's buffer is full"};
}

void Connections::await_writable(Record& record) {
  arm(record, record.flags & record::kFlagReadArmed, true);
}

// Writes what is queued, gathered, until the kernel has enough.  Outside of any step: what is queued must be
// committed before it leaves.
void Connections::flush(Record& record) {
  arena_.commit_turn();
  if (record.tls != kNull) return flush_records(record);
  if (record.transport == record::Transport::Tls && !push_tls(record)) return;
  const bool awaited = record.outbound_head != kNull || record.flags & record::kFlagWantWrite;
  const ConnId id = id_of(record);
  const bool before_file = before_file_ == id;
  if (before_file) before_file_ = {UINT32_MAX, 0};
  while (record.outbound_head != kNull) {
    iovec vectors[kIovecsMax];
    const size_t count = gather_outbound(record, vectors);
    say_now(record, ipc::Doing::Writing);
    const ssize_t sent = write_some(record, vectors, count, before_file ? MSG_MORE : 0);
    fault::linger();
    if (sent < 0 && errno == EINTR) continue;
    const bool full = sent < 0 && errno == EAGAIN;
    serve(record, ipc::Doing::Writing, [&] {
      if (sent >= 0) {
        count_sent(record, static_cast<size_t>(sent));
        consume_outbound(record, static_cast<size_t>(sent));
        if (record.outbound_head == kNull) flushed(record, awaited);
      } else if (full) {
        count_sent(record, 0);  // Of what was sealed before, some may have left.
        arm(record, record.flags & record::kFlagReadArmed, true);
      } else {
        close_now(record);
      }
    });
    if (sent < 0 || find(id) == nullptr || record.outbound_head == kNull) return;
  }
  serve(record, ipc::Doing::Writing, [&] { flushed(record, awaited); });
}

ssize_t Connections::write_some(const Record& record, const iovec* vectors, size_t count, int flags) {
  if (record.transport == record::Transport::Tls) return tls_.send(slot_of(record), record.fd, vectors, count);
  if (record.transport == record::Transport::Stream) {
    if (StreamLink* link = link_of(record)) return link->send(vectors, count);
    errno = EPIPE;
    return -1;
  }
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(vectors);
  message.msg_iovlen = count;
  return sendmsg(record.fd, &message, MSG_NOSIGNAL | flags);
}

void Connections::flushed(Record& record, bool awaited) {
  if (tls_waits(record)) return arm(record, record.flags & record::kFlagReadArmed, true);
  if (record.flags & record::kFlagWantWrite) arm(record, record.flags & record::kFlagReadArmed, false);
  if (record.phase == Phase::Closing) return begin_linger(record);
  if (awaited) handler_of(record).on_drained(record);
}

void Connections::consume_outbound(Record& record, size_t bytes) {
  if (record.phase == Phase::Closing) set_deadline(record, monotonic_ms() + kFlushStallMs);
  while (bytes > 0) {
    const OutboundNode* node = arena_.at<OutboundNode>(record.outbound_head);
    const size_t left = record::frame_bytes(arena_, node->frame).size() - record.outbound_offset;
    if (bytes < left) {
      record.outbound_offset += static_cast<uint32_t>(bytes);
      record.outbound_bytes -= static_cast<uint32_t>(bytes);
      return;
    }
    bytes -= left;
    pop_frame(record);
  }
}

// One round of shared frames, unless the gap after a large one isn't over.
void Connections::write_round() {
  const bool large = shared_.size() > kRoundAtOnce;
  const int64_t began_us = large ? monotonic_us() : 0;
  if (large && began_us < next_round_us_) return;
  batch_.swap(shared_);
  flush_batch(record::kFlagShared);
  if (!large) return;
  const int64_t ended_us = monotonic_us();
  next_round_us_ = ended_us + std::clamp(ended_us - began_us, kRoundGapUsMin, kRoundGapUsMax);
}

// Writes what the connections of batch_ have queued; `flag` says which list it was.
void Connections::flush_batch(uint8_t flag) {
  for (const ConnId id : batch_) {
    Record* record = find(id);
    if (record == nullptr) continue;
    record->flags = static_cast<uint8_t>(record->flags & ~flag);
    if ((record->flags & record::kFlagWantWrite) == 0) flush(*record);
  }
  batch_.clear();
}

}  // namespace beamgate::net
