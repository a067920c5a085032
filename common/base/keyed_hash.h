// KeyedHash: a fast 64-bit hash for tables whose keys strangers choose.
//
// An object draws its own key from the kernel, or is given one that processes share, so that nobody outside can make
// keys that collide.  Not for anything that is stored, sent or signed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace beamgate {

class KeyedHash {
 public:
  using is_transparent = void;  // Look-ups by std::string_view in tables of std::string.

  KeyedHash();
  // The same in every process that has the seed.  REQUIRES: strangers don't know it.
  explicit KeyedHash(uint64_t seed);

  size_t operator()(std::string_view text) const;

 private:
  uint64_t key_[2];
};

}  // namespace beamgate
