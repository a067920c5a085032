#include "worker/ws/mask.h"

#include <cstddef>
#include <cstring>

namespace beamgate::ws {
namespace {

// The compiler maps these to the vector registers of the target, two SSE2 registers at least.
typedef uint32_t Block __attribute__((vector_size(32)));

void xor_block(char* at, const Block& key) {
  Block block;
  memcpy(&block, at, sizeof block);
  block ^= key;
  memcpy(at, &block, sizeof block);
}

}  // namespace

void unmask(std::span<char> bytes, uint8_t (&key)[4]) {
  uint32_t word;
  memcpy(&word, key, sizeof word);
  const Block block = {word, word, word, word, word, word, word, word};
  char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 2 * sizeof block; at += 2 * sizeof block, left -= 2 * sizeof block) {
    xor_block(at, block);
    xor_block(at + sizeof block, block);
  }
  for (; left >= sizeof word; at += sizeof word, left -= sizeof word) {
    uint32_t piece;
    memcpy(&piece, at, sizeof piece);
    piece ^= word;
    memcpy(at, &piece, sizeof piece);
  }
  // Everything before was a multiple of the key's length, so the key still starts at key[0].
  for (size_t i = 0; i < left; ++i) at[i] = static_cast<char>(static_cast<uint8_t>(at[i]) ^ key[i]);
  uint8_t rotated[4];
  for (size_t i = 0; i < 4; ++i) rotated[i] = key[(i + left) % 4];
  memcpy(key, rotated, sizeof key);
}

}  // namespace beamgate::ws
