#include "worker/ws/message_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "worker/ws/mask.h"
#include "worker/ws/utf8_stream.h"

namespace beamgate::ws {
namespace {

using record::CloseState;
using record::kNull;
using record::Record;
using record::Ref;
using Kind = Step::Kind;

constexpr uint8_t kRsv1 = 4;
constexpr size_t kFirstBlockBytes = 256;

struct Verdict {
  uint16_t code = 0;  // 0: the frame is fine.
  const char* reason = "";
};

Step failure(uint16_t code, const char* reason) {
  return Step{.kind = Kind::Failure, .code = code, .reason = reason};
}

bool is_control(uint8_t opcode) { return (opcode & 8) != 0; }

bool is_known(uint8_t opcode) {
  return opcode <= static_cast<uint8_t>(Opcode::Binary) ||
         (opcode >= static_cast<uint8_t>(Opcode::Close) && opcode <= static_cast<uint8_t>(Opcode::Pong));
}

// Compressed bytes may be a few more than the plain ones they stand for.
uint64_t wire_bytes_max(const MessageLimits& limits, bool compressed) {
  const uint64_t plain = limits.message_bytes_max;
  return compressed ? plain + plain / 16 + 64 : plain;
}

// RFC 6455 sections 5.2 and 5.4, what a single head doesn't show to wslay.
Verdict check_head(const Record& record, const ClientFrame& frame, const MessageLimits& limits) {
  if (!is_known(frame.opcode)) return {kCloseProtocolError, "unknown opcode"};
  const bool first = frame.opcode == static_cast<uint8_t>(Opcode::Text) ||
                     frame.opcode == static_cast<uint8_t>(Opcode::Binary);
  const uint8_t rsv_allowed = first && limits.compression ? kRsv1 : 0;
  if ((frame.rsv & ~rsv_allowed) != 0) return {kCloseProtocolError, "reserved bit set"};
  if (is_control(frame.opcode) || record.ws.close != CloseState::Open) return {};

  const bool begun = record.ws.message_opcode != 0;
  if (first && begun) return {kCloseProtocolError, "message within a message"};
  if (!first && !begun) return {kCloseProtocolError, "continuation of nothing"};
  const bool compressed = begun ? record.ws.message_flags & kMessageCompressed : frame.rsv & kRsv1;
  const uint64_t most = wire_bytes_max(limits, compressed);
  if (frame.payload_bytes > most || record.message_bytes > most - frame.payload_bytes) {
    return {kCloseMessageTooBig, "message too big"};
  }
  return {};
}

}  // namespace

Step MessageReader::read(Record& record, std::span<const char> bytes, const MessageLimits& limits) {
  done();
  if (record.ws.frame_flags & kFrameInProgress) {
    if (bytes.empty()) return {};
    const auto left = static_cast<size_t>(std::min<uint64_t>(bytes.size(), record.ws.payload_remaining));
    return take_part(record, bytes.first(left));
  }
  ClientFrame frame;
  switch (frames_.read(bytes, frame)) {
    case FrameReader::Outcome::NeedMore:
      return {};
    case FrameReader::Outcome::Unmasked:
      return failure(kCloseProtocolError, "frame without mask");
    case FrameReader::Outcome::Malformed:
      return failure(kCloseProtocolError, "malformed frame");
    case FrameReader::Outcome::Head:
      break;
  }
  const Verdict verdict = check_head(record, frame, limits);
  if (verdict.code != 0) return failure(verdict.code, verdict.reason);
  if (is_control(frame.opcode)) return control_frame(bytes, frame);
  return begin_frame(record, bytes, frame, limits);
}

// A control frame stays in the carry until it is complete: it is short, and so needs no state of its own.
Step MessageReader::control_frame(std::span<const char> bytes, const ClientFrame& frame) {
  const size_t size = frame.head_bytes + static_cast<size_t>(frame.payload_bytes);
  if (bytes.size() < size) return {};
  Step step;
  step.consumed = size;
  step.payload = unmask_apart(bytes.subspan(frame.head_bytes, size - frame.head_bytes), frame.mask);
  switch (static_cast<Opcode>(frame.opcode)) {
    case Opcode::Close:
      step.kind = Kind::Close;
      break;
    case Opcode::Ping:
      step.kind = Kind::Ping;
      break;
    default:
      step.kind = Kind::Pong;
      break;
  }
  return step;
}

Step MessageReader::begin_frame(Record& record, std::span<const char> bytes, const ClientFrame& frame,
                                const MessageLimits& limits) {
  const bool skipped = record.ws.close != CloseState::Open;
  const bool whole = bytes.size() - frame.head_bytes >= frame.payload_bytes;
  if (whole && frame.fin && record.ws.message_opcode == 0 && !skipped) return whole_message(bytes, frame);

  record.ws.frame_flags = static_cast<uint8_t>(kFrameInProgress | (frame.fin ? kFrameFin : 0));
  record.ws.payload_remaining = frame.payload_bytes;
  memcpy(record.ws.mask, frame.mask, sizeof frame.mask);
  if (record.ws.message_opcode == 0) {
    record.ws.message_opcode = frame.opcode;
    record.ws.message_flags = limits.compression && (frame.rsv & kRsv1) ? kMessageCompressed : 0;
    record.ws.utf8_state = static_cast<uint8_t>(Utf8State::Boundary);
  }
  const size_t there = bytes.size() - frame.head_bytes;
  const auto part = static_cast<size_t>(std::min<uint64_t>(there, frame.payload_bytes));
  Step step = take_part(record, bytes.subspan(frame.head_bytes, part));
  step.consumed += frame.head_bytes;
  return step;
}

Step MessageReader::whole_message(std::span<const char> bytes, const ClientFrame& frame) {
  Step step;
  step.kind = Kind::Message;
  step.opcode = static_cast<Opcode>(frame.opcode);
  step.compressed = (frame.rsv & kRsv1) != 0;
  step.payload = unmask_apart(bytes.subspan(frame.head_bytes, static_cast<size_t>(frame.payload_bytes)), frame.mask);
  step.consumed = frame.head_bytes + step.payload.size();
  if (step.opcode == Opcode::Text && !step.compressed &&
      check_utf8({step.payload.data(), step.payload.size()}) != Utf8State::Boundary) {
    return failure(kCloseInvalidPayload, "text is not UTF-8");
  }
  return step;
}

// Takes the next bytes of the frame in progress; not more than it has left.
Step MessageReader::take_part(Record& record, std::span<const char> part) {
  record::WebSocketState& ws = record.ws;
  if (ws.close == CloseState::Open && !part.empty()) {
    if (!append(record, part)) return failure(kCloseTryAgainLater, "out of memory");
    const std::span<char> added{arena_.at(record.message) + record.message_bytes - part.size(), part.size()};
    unmask(added, ws.mask);
    const bool text = ws.message_opcode == static_cast<uint8_t>(Opcode::Text);
    if (text && (ws.message_flags & kMessageCompressed) == 0) {
      const auto state = check_utf8({added.data(), added.size()}, static_cast<Utf8State>(ws.utf8_state));
      if (state == Utf8State::Invalid) return failure(kCloseInvalidPayload, "text is not UTF-8");
      ws.utf8_state = static_cast<uint8_t>(state);
    }
  }
  ws.payload_remaining -= part.size();
  Step step{.kind = Kind::Progress};
  if (ws.payload_remaining == 0) step = end_frame(record);
  step.consumed = part.size();
  return step;
}

Step MessageReader::end_frame(Record& record) {
  record::WebSocketState& ws = record.ws;
  const bool fin = ws.frame_flags & kFrameFin;
  ws.frame_flags = 0;
  if (!fin) return Step{.kind = Kind::Progress};
  if (ws.close != CloseState::Open) {
    forget(record);
    return Step{.kind = Kind::Progress};
  }
  Step step{.kind = Kind::Message};
  step.opcode = static_cast<Opcode>(ws.message_opcode);
  step.compressed = ws.message_flags & kMessageCompressed;
  if (static_cast<Utf8State>(ws.utf8_state) != Utf8State::Boundary) {
    return failure(kCloseInvalidPayload, "text ends within a character");
  }
  // The block leaves the record first: whoever gets the message may end the connection.
  finished_ = std::exchange(record.message, kNull);
  if (finished_ != kNull) step.payload = {arena_.at(finished_), record.message_bytes};
  forget(record);
  return step;
}

std::span<char> MessageReader::unmask_apart(std::span<const char> payload, const uint8_t (&key)[4]) {
  unmasked_.clear();
  unmasked_.reserve(std::max<size_t>(payload.size(), kFirstBlockBytes));
  uint8_t mask[4];
  memcpy(mask, key, sizeof mask);
  unmask(payload, unmasked_.room().data(), mask);
  return unmasked_.room().first(payload.size());
}

bool MessageReader::append(Record& record, std::span<const char> part) {
  const size_t needed = record.message_bytes + part.size();
  const size_t capacity = record.message == kNull ? 0 : arena_.capacity(record.message);
  if (needed > capacity) {
    const size_t doubled = std::min(2 * capacity, record::Arena::kBlockBytesMax);
    const Ref bigger = arena_.allocate(std::max({needed, doubled, kFirstBlockBytes}));
    if (bigger == kNull) return false;
    if (record.message_bytes > 0) memcpy(arena_.at(bigger), arena_.at(record.message), record.message_bytes);
    arena_.release(record.message);
    record.message = bigger;
  }
  memcpy(arena_.at(record.message) + record.message_bytes, part.data(), part.size());
  record.message_bytes = static_cast<uint32_t>(needed);
  return true;
}

void MessageReader::forget(Record& record) {
  arena_.release(record.message);
  record.message = kNull;
  record.message_bytes = 0;
  record.ws.message_opcode = 0;
  record.ws.message_flags = 0;
  record.ws.utf8_state = static_cast<uint8_t>(Utf8State::Boundary);
}

void MessageReader::done() {
  arena_.release(finished_);
  finished_ = kNull;
}

}  // namespace beamgate::ws
