// Mask: takes the client's masking key off a payload (RFC 6455 section 5.3).
#pragma once

#include <cstdint>
#include <span>

namespace beamgate::ws {

// Writes `bytes` XORed with the key to `to`, which may be where they are, and rotates the key so that key[0]
// applies to the byte behind them.
void unmask(std::span<const char> bytes, char* to, uint8_t (&key)[4]);
inline void unmask(std::span<char> bytes, uint8_t (&key)[4]) { unmask(bytes, bytes.data(), key); }

}  // namespace beamgate::ws
