// History: the last plaintext of one direction of a connection, the window of a compression with context takeover.
//
// It is all that a z_stream knows which can't be found out again, kept in the arena so that the window can move
// with its connection.
// Owner      The record, through a Ref that is kNull while nothing has been compressed.
// Limits     The negotiated window, 2^9 to 2^15 bytes; it grows to it as text passes.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "worker/record/arena.h"

namespace beamgate::ws {

class History {
 public:
  History(record::Arena& arena, record::Ref& ref, uint8_t window_bits)
      : arena_(arena), ref_(ref), window_bytes_(size_t{1} << window_bits) {}

  // Makes room for append(); false: the arena is full, nothing has changed.
  [[nodiscard]] bool reserve(size_t bytes);
  // REQUIRES: reserve(text.size()) or more.
  void append(std::string_view text);

  size_t size() const;
  // Copies it, oldest byte first, and returns how much.  REQUIRES: to.size() >= size().
  size_t copy_to(std::span<char> to) const;

 private:
  // Ahead of the bytes, which are a ring once the window is full.
  struct Head {
    uint32_t size = 0;
    uint32_t capacity = 0;
    uint32_t begin = 0;  // Of the oldest byte; 0 while the ring can still grow.
  };

  Head& head() const { return *arena_.at<Head>(ref_); }
  char* bytes() const { return arena_.at(ref_) + sizeof(Head); }

  record::Arena& arena_;
  record::Ref& ref_;
  const size_t window_bytes_;
};

}  // namespace beamgate::ws
