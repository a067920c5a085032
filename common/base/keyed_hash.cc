#include "common/base/keyed_hash.h"

#include <sys/random.h>

#include <cstring>

#include "common/base/assert.h"
#include "common/base/bytes.h"

namespace beamgate {
namespace {

// The two halves of a 128-bit product, folded: every input bit reaches every output bit.
uint64_t fold(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace

KeyedHash::KeyedHash() {
  const ssize_t got = getrandom(key_, sizeof key_, 0);
  BG_ASSERT(got == static_cast<ssize_t>(sizeof key_));
  key_[1] |= 1;  // A zero multiplier would make all keys equal.
}

KeyedHash::KeyedHash(uint64_t seed) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15u;
  key_[0] = fold(seed ^ kOdd, 0xbf58476d1ce4e5b9u);
  key_[1] = fold(seed + kOdd, 0x94d049bb133111ebu) | 1;
}

size_t KeyedHash::operator()(std::string_view text) const {
  uint64_t hash = key_[0] ^ text.size();
  while (text.size() >= sizeof(uint64_t)) {
    hash = fold(hash ^ load_le<uint64_t>(text.data()), key_[1]) + key_[0];
    text.remove_prefix(sizeof(uint64_t));
  }
  uint64_t tail = 0;
  if (!text.empty()) memcpy(&tail, text.data(), text.size());
  return fold(hash ^ tail, key_[1]) ^ fold(hash + key_[1], key_[0] | 1);
}

}  // namespace beamgate
