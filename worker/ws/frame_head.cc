#include "worker/ws/frame_head.h"

#include "common/base/bytes.h"

namespace beamgate::ws {
namespace {

constexpr uint8_t kFin = 0x80;
constexpr uint8_t kRsv1Bit = 0x40;

}  // namespace

FrameHead::FrameHead(Opcode opcode, uint64_t payload_bytes, bool compressed) {
  bytes_[0] = static_cast<char>(kFin | (compressed ? kRsv1Bit : 0) | static_cast<uint8_t>(opcode));
  if (payload_bytes < 126) {
    bytes_[1] = static_cast<char>(payload_bytes);
    size_ = 2;
  } else if (payload_bytes <= UINT16_MAX) {
    bytes_[1] = 126;
    store_be(bytes_ + 2, static_cast<uint16_t>(payload_bytes));
    size_ = 4;
  } else {
    bytes_[1] = 127;
    store_be(bytes_ + 2, payload_bytes);
    size_ = 10;
  }
}

}  // namespace beamgate::ws
