// zlib streams: raw deflate in both directions, a message at a time (RFC 7692 section 7.2).
//
// Glue only: which stream serves which connection, and what its window holds, is Deflate's business.
// Errors   Running out of memory is the only one when compressing; a peer's bytes may be corrupt or too many.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "worker/ws/scratch.h"

namespace beamgate::ws {

class Compressor {
 public:
  Compressor() = default;
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;
  ~Compressor();

  // An empty window of this size (9 to 15 bits).  False: no memory.
  [[nodiscard]] bool start(uint8_t window_bits, int level);
  void prime(std::string_view window);
  // Appends the compressed message, without the four bytes that end it.
  void run(std::string_view message, Scratch& out);

 private:
  z_stream stream_{};
  uint8_t window_bits_ = 0;  // 0: not made yet.
  int level_ = 0;
};

class Decompressor {
 public:
  enum class Outcome : uint8_t { Done, TooBig, Corrupt, NoMemory };

  Decompressor() = default;
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  ~Decompressor();

  [[nodiscard]] bool start(uint8_t window_bits);  // 8 to 15.
  void prime(std::string_view window);
  // Fills `out` with the message that `payload` stands for, at most bytes_max.  Corrupt also above kFinalBlocksMax final
  // blocks: each costs a window, however short it is.
  static constexpr int kFinalBlocksMax = 1'000;
  Outcome run(std::span<const char> payload, uint64_t bytes_max, Scratch& out);

 private:
  Outcome feed(std::string_view bytes, uint64_t bytes_max, Scratch& out);
  void go_on_behind_final_block();

  z_stream stream_{};
  uint8_t window_bits_ = 0;
  int final_blocks_ = 0;
  bool ended_ = false;  // The peer's last block was final, and nothing has followed.
};

}  // namespace beamgate::ws
