// Mask: takes the client's masking key off a payload (RFC 6455 section 5.3).
#pragma once

#include <cstdint>
#include <span>

namespace beamgate::ws {

// XORs `bytes` with the key, and rotates the key so that key[0] applies to the byte behind them.
void unmask(std::span<char> bytes, uint8_t (&key)[4]);

}  // namespace beamgate::ws
