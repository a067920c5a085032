// Frame head: the 2 to 10 bytes in front of a server's payload (RFC 6455 section 5.2).  Servers don't mask.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/ws/application.h"

namespace beamgate::ws {

constexpr size_t kFrameHeadBytesMax = 10;

class FrameHead {
 public:
  // The head of a whole message in one frame; compressed: RSV1 says so (RFC 7692 section 6).
  FrameHead(Opcode opcode, uint64_t payload_bytes, bool compressed = false);

  std::string_view view() const { return {bytes_, size_}; }
  size_t size() const { return size_; }

 private:
  char bytes_[kFrameHeadBytesMax];
  uint8_t size_;
};

}  // namespace beamgate::ws
