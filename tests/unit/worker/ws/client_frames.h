// Frames as a client sends them, written from RFC 6455 section 5.2 and nothing of ours.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace beamgate::ws::testing {

struct FrameShape {
  bool fin = true;
  uint8_t rsv = 0;
  bool masked = true;
  int length_bytes = -1;        // 0, 2 or 8 bytes of extended length; -1: the shortest.
  uint64_t announced = UINT64_MAX;  // Other than the payload's size.
};

inline std::string client_frame(uint8_t opcode, std::string_view payload, FrameShape shape = {}) {
  const uint64_t size = shape.announced == UINT64_MAX ? payload.size() : shape.announced;
  int extended = shape.length_bytes;
  if (extended < 0) extended = size < 126 ? 0 : size < 65536 ? 2 : 8;
  std::string out;
  out += static_cast<char>((shape.fin ? 0x80 : 0) | shape.rsv << 4 | opcode);
  const int code = extended == 0 ? static_cast<int>(size) : extended == 2 ? 126 : 127;
  out += static_cast<char>((shape.masked ? 0x80 : 0) | code);
  for (int i = extended - 1; i >= 0; --i) out += static_cast<char>(size >> (8 * i));
  if (!shape.masked) return out.append(payload);
  const char key[4] = {'\x37', '\xfa', '\x21', '\x3d'};
  out.append(key, 4);
  for (size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ key[i % 4]);
  return out;
}

constexpr uint8_t kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;

}  // namespace beamgate::ws::testing
