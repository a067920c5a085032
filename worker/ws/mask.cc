#include "worker/ws/mask.h"

#include <bit>
#include <cstddef>
#include <cstring>

#include "common/base/bytes.h"

namespace beamgate::ws {
namespace {

// The compiler maps these to the vector registers of the target, two SSE2 registers at least.
typedef uint32_t Block __attribute__((vector_size(32)));

void xor_block(const char* from, char* to, const Block& key) {
  Block block;
  memcpy(&block, from, sizeof block);
  block ^= key;
  memcpy(to, &block, sizeof block);
}

}  // namespace

void unmask(std::span<const char> bytes, char* to, uint8_t (&key)[4]) {
  uint32_t word;
  memcpy(&word, key, sizeof word);
  const Block block = {word, word, word, word, word, word, word, word};
  const char* from = bytes.data();
  size_t left = bytes.size();
  for (; left >= 2 * sizeof block; from += 2 * sizeof block, to += 2 * sizeof block, left -= 2 * sizeof block) {
    xor_block(from, to, block);
    xor_block(from + sizeof block, to + sizeof block, block);
  }
  const uint64_t twice = uint64_t{word} << 32 | word;
  for (; left >= sizeof twice; from += sizeof twice, to += sizeof twice, left -= sizeof twice) {
    store_le(to, load_le<uint64_t>(from) ^ twice);
  }
  // Everything so far was a multiple of the key's length, so the key still starts at its first byte.
  for (; left > 0; ++from, ++to, --left) {
    *to = static_cast<char>(static_cast<uint8_t>(*from) ^ static_cast<uint8_t>(word));
    word = std::rotr(word, 8);
  }
  memcpy(key, &word, sizeof key);
}

}  // namespace beamgate::ws
