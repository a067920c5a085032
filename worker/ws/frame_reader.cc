#include "worker/ws/frame_reader.h"

#include <wslay/wslay.h>

#include <algorithm>
#include <cstring>

#include "common/base/assert.h"
#include "common/base/bytes.h"

namespace beamgate::ws {
namespace {

constexpr uint8_t kMaskBit = 0x80;
constexpr size_t kMaskBytes = 4;
constexpr size_t kHeadBytesMax = 10;

// Hands out the head, then claims payload bytes without writing them: wslay doesn't look at the payload of a
// frame without mask.
ssize_t hand_out(uint8_t* to, size_t size, int, void* user) noexcept {
  auto& feed = *static_cast<FrameReader::Feed*>(user);
  if (feed.head_bytes > 0) {
    const size_t bytes = std::min(size, feed.head_bytes);
    memcpy(to, feed.head, bytes);
    feed.head += bytes;
    feed.head_bytes -= bytes;
    return static_cast<ssize_t>(bytes);
  }
  const auto bytes = static_cast<size_t>(std::min<uint64_t>(size, feed.payload_bytes));
  feed.payload_bytes -= bytes;
  return bytes > 0 ? static_cast<ssize_t>(bytes) : -1;
}

constexpr wslay_frame_callbacks kCallbacks = {.recv_callback = hand_out};

// Bytes of the head without masking key, by its second byte.
size_t plain_head_bytes(uint8_t second) {
  switch (second & ~kMaskBit) {
    case 126:
      return 4;
    case 127:
      return 10;
    default:
      return 2;
  }
}

// What the head announces, right or wrong: wslay may be handed no more than this frame.
uint64_t announced_bytes(const char* head, size_t head_bytes) {
  switch (head_bytes) {
    case 4:
      return load_be<uint16_t>(head + 2);
    case 10:
      return load_be<uint64_t>(head + 2);
    default:
      return static_cast<uint8_t>(head[1]) & ~kMaskBit;
  }
}

}  // namespace

FrameReader::FrameReader() { start_context(); }

FrameReader::~FrameReader() { wslay_frame_context_free(context_); }

void FrameReader::start_context() {
  if (context_ != nullptr) wslay_frame_context_free(context_);
  BG_ASSERT(wslay_frame_context_init(&context_, &kCallbacks, &feed_) == 0);
}

FrameReader::Outcome FrameReader::read(std::span<const char> bytes, ClientFrame& frame) {
  if (bytes.size() < 2) return Outcome::NeedMore;
  const auto second = static_cast<uint8_t>(bytes[1]);
  if ((second & kMaskBit) == 0) return Outcome::Unmasked;
  const size_t plain = plain_head_bytes(second);
  if (bytes.size() < plain + kMaskBytes) return Outcome::NeedMore;

  uint8_t head[kHeadBytesMax];
  memcpy(head, bytes.data(), plain);
  head[1] = second & static_cast<uint8_t>(~kMaskBit);
  feed_ = Feed{head, plain, announced_bytes(bytes.data(), plain)};
  if (!judge(frame)) {
    start_context();
    return Outcome::Malformed;
  }
  frame.head_bytes = static_cast<uint8_t>(plain + kMaskBytes);
  memcpy(frame.mask, bytes.data() + plain, kMaskBytes);
  return Outcome::Head;
}

// Leaves the context at the frame's end, or started afresh behind a long one.
bool FrameReader::judge(ClientFrame& frame) {
  wslay_frame_iocb iocb;
  const ssize_t counted = wslay_frame_recv(context_, &iocb);
  if (counted < 0) return false;
  frame.fin = iocb.fin != 0;
  frame.rsv = iocb.rsv;
  frame.opcode = iocb.opcode;
  frame.payload_bytes = iocb.payload_length;
  if (frame.payload_bytes > kCountedBytesMax) {
    start_context();
    return true;
  }
  uint64_t left = frame.payload_bytes - static_cast<uint64_t>(counted);
  while (left > 0) {
    const ssize_t more = wslay_frame_recv(context_, &iocb);
    BG_ASSERT(more > 0);
    left -= static_cast<uint64_t>(more);
  }
  return true;
}

}  // namespace beamgate::ws
