#include "worker/ws/zlib_streams.h"

#include <algorithm>

#include "common/base/assert.h"

namespace beamgate::ws {
namespace {

// What a sync flush ends with and a message leaves out (RFC 7692 section 7.2.1).
constexpr std::string_view kTail("\x00\x00\xff\xff", 4);
constexpr uint8_t kInflateWindowBitsMin = 9;  // zlib's inflate takes 8, but a bigger window reads it as well.
constexpr size_t kFirstOutputBytes = 4096;
constexpr int kAtBlockBoundary = 128;      // In z_stream::data_type, zlib.h.

Bytef* in_of(std::string_view bytes) { return reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data())); }

void aim(z_stream& stream, std::span<char> room) {
  stream.next_out = reinterpret_cast<Bytef*>(room.data());
  stream.avail_out = static_cast<uInt>(room.size());
}

// zlib's hash and symbol buffers, in keeping with the window: 8 is its default, made for 15 bits.
int memory_level(uint8_t window_bits) { return std::max(window_bits - 7, 2); }

}  // namespace

Compressor::~Compressor() {
  if (window_bits_ != 0) deflateEnd(&stream_);
}

bool Compressor::start(uint8_t window_bits, int level) {
  if (window_bits_ == window_bits && level_ == level) return deflateReset(&stream_) == Z_OK;
  if (window_bits_ != 0) deflateEnd(&stream_);
  stream_ = {};
  window_bits_ = 0;
  const int made = deflateInit2(&stream_, level, Z_DEFLATED, -window_bits, memory_level(window_bits), Z_DEFAULT_STRATEGY);
  if (made != Z_OK) return false;
  window_bits_ = window_bits;
  level_ = level;
  return true;
}

void Compressor::prime(std::string_view window) {
  if (window.empty()) return;
  BG_ASSERT(deflateSetDictionary(&stream_, in_of(window), static_cast<uInt>(window.size())) == Z_OK);
}

void Compressor::run(std::string_view message, Scratch& out) {
  stream_.next_in = in_of(message);
  stream_.avail_in = static_cast<uInt>(message.size());
  out.reserve(out.size() + message.size() + message.size() / 16 + 64);
  do {
    if (out.room().empty()) out.reserve(2 * out.capacity());
    const std::span<char> room = out.room();
    aim(stream_, room);
    BG_ASSERT(deflate(&stream_, Z_SYNC_FLUSH) != Z_STREAM_ERROR);
    out.fill(room.size() - stream_.avail_out);
  } while (stream_.avail_out == 0);
  BG_ASSERT(out.size() >= kTail.size());
  out.drop_last(kTail.size());
}

Decompressor::~Decompressor() {
  if (window_bits_ != 0) inflateEnd(&stream_);
}

bool Decompressor::start(uint8_t window_bits) {
  window_bits = std::max(window_bits, kInflateWindowBitsMin);
  ended_ = false;
  if (window_bits_ == window_bits) return inflateReset(&stream_) == Z_OK;
  if (window_bits_ != 0) inflateEnd(&stream_);
  stream_ = {};
  window_bits_ = 0;
  if (inflateInit2(&stream_, -window_bits) != Z_OK) return false;
  window_bits_ = window_bits;
  return true;
}

void Decompressor::prime(std::string_view window) {
  if (window.empty()) return;
  // Fails for want of memory only; references into the window are then too far, which is Corrupt.
  inflateSetDictionary(&stream_, in_of(window), static_cast<uInt>(window.size()));
}

Decompressor::Outcome Decompressor::run(std::span<const char> payload, uint64_t bytes_max, Scratch& out) {
  ended_ = false;
  final_blocks_ = 0;
  const Outcome outcome = feed({payload.data(), payload.size()}, bytes_max, out);
  // A sender that ended with a final block has flushed already (RFC 7692 section 7.2.3.4).
  if (outcome != Outcome::Done || ended_) return outcome;
  const Outcome tail = feed(kTail, bytes_max, out);
  if (tail != Outcome::Done || ended_) return tail;
  return (stream_.data_type & kAtBlockBoundary) != 0 ? Outcome::Done : Outcome::Corrupt;
}

Decompressor::Outcome Decompressor::feed(std::string_view bytes, uint64_t bytes_max, Scratch& out) {
  stream_.next_in = in_of(bytes);
  stream_.avail_in = static_cast<uInt>(bytes.size());
  // One byte more than allowed tells that there are too many.
  const size_t most = static_cast<size_t>(bytes_max) + 1;
  while (stream_.avail_in > 0 || stream_.avail_out == 0) {
    if (out.room().empty()) {
      out.reserve(std::min(most, std::max({2 * out.capacity(), 4 * bytes.size(), kFirstOutputBytes})));
    }
    const std::span<char> room = out.room().first(std::min(out.room().size(), most - out.size()));
    aim(stream_, room);
    const int result = inflate(&stream_, Z_SYNC_FLUSH);
    out.fill(room.size() - stream_.avail_out);
    if (out.size() > bytes_max) return Outcome::TooBig;
    ended_ = result == Z_STREAM_END;
    if (ended_) {
      if (++final_blocks_ > kFinalBlocksMax) return Outcome::Corrupt;
      go_on_behind_final_block();
      if (stream_.avail_in == 0) break;
    } else if (result == Z_MEM_ERROR) {
      return Outcome::NoMemory;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      return Outcome::Corrupt;
    } else if (result == Z_BUF_ERROR && stream_.avail_out > 0) {
      break;
    }
  }
  return Outcome::Done;
}

// The window outlives the block that the peer called final: what follows may refer back to it.
void Decompressor::go_on_behind_final_block() {
  Bytef window[1 << 15];
  uInt size = 0;
  inflateGetDictionary(&stream_, window, &size);
  inflateReset(&stream_);
  prime({reinterpret_cast<const char*>(window), size});
}

}  // namespace beamgate::ws
