// The writing half of Connections: turn buffers, outbound queues, rounds of shared frames.
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/base/clock.h"
#include "worker/net/connections.h"
#include "worker/record/frame.h"

namespace beamgate::net {
namespace {

using metrics::Metric;
using record::ConnId;
using record::kNull;
using record::Phase;
using record::Record;
using record::Ref;

constexpr int kIovecsMax = 64;

// One entry of an outbound queue.
struct OutboundNode {
  Ref next = kNull;
  Ref frame = kNull;
};

}  // namespace

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
  if (!in_turn(record) || record.outbound_head != kNull || size > kTurnBytes) {
    if (in_turn(record)) write_turn(record);
    return queue_copy(record, head, body);
  }
  if (turn_.bytes + size > kTurnBytes) {
    write_turn(record);
    if (record.outbound_head != kNull) return queue_copy(record, head, body);
  }
  memcpy(turn_.buffer.get() + turn_.bytes, head.data(), head.size());
  if (!body.empty()) memcpy(turn_.buffer.get() + turn_.bytes + head.size(), body.data(), body.size());
  turn_.bytes += size;
  return true;
}

bool Connections::send_frame(Record& record, Ref frame) {
  const size_t size = record::frame_bytes(arena_, frame).size();
  if (size > outbound_room(record)) return false;
  if (in_turn(record)) write_turn(record);
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
  uint32_t dropped = 0;
  size_t gone = 0;
  // A frame that the kernel has begun must be finished, or the stream is broken.
  Ref keep = record.outbound_offset > 0 ? record.outbound_head : kNull;
  while (gone < bytes) {
    const Ref victim = keep == kNull ? record.outbound_head : arena_.at<OutboundNode>(keep)->next;
    if (victim == kNull) break;
    const OutboundNode node = *arena_.at<OutboundNode>(victim);
    const size_t size = record::frame_bytes(arena_, node.frame).size();
    if (keep == kNull) {
      record.outbound_head = node.next;
    } else {
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

// Ends the turn: what it wrote goes to the kernel.
void Connections::finish_turn(Record& record) {
  const ConnId id = turn_.id;
  const bool wrote = turn_.bytes > 0;
  write_turn(record);
  turn_.id = {};
  if (find(id) == nullptr) return;
  if (record.phase == Phase::Closing) {
    if (record.outbound_head == kNull) begin_linger(record);
    return;
  }
  if (wrote && record.outbound_head == kNull) handler_of(record).on_drained(record);
}

void Connections::write_turn(Record& record) {
  size_t written = 0;
  if (turn_.bytes == 0) return;
  if (record.outbound_head == kNull && (record.flags & record::kFlagWantWrite) == 0) {
    const ssize_t sent = ::send(record.fd, turn_.buffer.get(), turn_.bytes, MSG_NOSIGNAL);
    if (sent > 0) {
      written = static_cast<size_t>(sent);
      record.bytes_sent += written;
      metrics_.add(Metric::BytesSent, written);
    }
    // An error other than a full buffer shows again when the socket is read.
  }
  const size_t left = turn_.bytes - written;
  turn_.bytes = 0;
  if (left == 0) return;
  // What the kernel has begun mustn't be dropped from the queue, so its last byte marks the frame as begun.
  const size_t begun = written > 0 ? 1 : 0;
  if (!queue_copy(record, {turn_.buffer.get() + written - begun, left + begun}, {})) {
    // The arena is full, and a part may already be out: the stream can't be kept whole.
    shutdown(record.fd, SHUT_RDWR);
    return;
  }
  if (begun == 0) return;
  record.outbound_offset = 1;
  record.outbound_bytes -= 1;
}

Result<size_t> Connections::send_file(Record& record, int file, off_t& offset, size_t count) {
  if (in_turn(record)) write_turn(record);
  if (record.outbound_head != kNull) return Error{Code::WouldBlock, 0, "earlier output is still queued"};
  const ssize_t sent = sendfile(record.fd, file, &offset, count);
  if (sent >= 0) {
    record.bytes_sent += static_cast<uint64_t>(sent);
    metrics_.add(Metric::BytesSent, static_cast<uint64_t>(sent));
    return static_cast<size_t>(sent);
  }
  if (errno != EAGAIN && errno != EINTR) return system_error("sendfile failed");
  await_writable(record);
  return Error{Code::WouldBlock, 0, "the kernel's buffer is full"};
}

void Connections::await_writable(Record& record) {
  arm(record, record.flags & record::kFlagReadArmed, true);
}

// Writes what is queued, gathered, until the kernel has enough.
void Connections::flush(Record& record) {
  const bool awaited = record.outbound_head != kNull || record.flags & record::kFlagWantWrite;
  while (record.outbound_head != kNull) {
    iovec vectors[kIovecsMax];
    size_t count = 0;
    size_t offset = record.outbound_offset;
    for (Ref at = record.outbound_head; at != kNull && count < kIovecsMax;) {
      const OutboundNode* node = arena_.at<OutboundNode>(at);
      const std::span<char> bytes = record::frame_bytes(arena_, node->frame).subspan(offset);
      vectors[count++] = {bytes.data(), bytes.size()};
      offset = 0;
      at = node->next;
    }
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    const ssize_t sent = sendmsg(record.fd, &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return close_now(record);
      return arm(record, record.flags & record::kFlagReadArmed, true);
    }
    consume_outbound(record, static_cast<size_t>(sent));
  }
  if (record.flags & record::kFlagWantWrite) arm(record, record.flags & record::kFlagReadArmed, false);
  if (record.phase == Phase::Closing) return begin_linger(record);
  if (awaited) handler_of(record).on_drained(record);
}

void Connections::consume_outbound(Record& record, size_t bytes) {
  record.bytes_sent += bytes;
  metrics_.add(Metric::BytesSent, bytes);
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
