#include "worker/ws/utf8_stream.h"

#include <cstring>

namespace beamgate::ws {
namespace {

constexpr uint64_t kHighBits = 0x8080808080808080;

bool between(uint8_t byte, uint8_t low, uint8_t high) { return byte >= low && byte <= high; }
bool continues(uint8_t byte) { return (byte & 0xc0) == 0x80; }

Utf8State lead(uint8_t byte) {
  if (byte < 0x80) return Utf8State::Boundary;
  if (between(byte, 0xc2, 0xdf)) return Utf8State::Tail1;
  if (byte == 0xe0) return Utf8State::AfterE0;
  if (byte == 0xed) return Utf8State::AfterEd;
  if (between(byte, 0xe1, 0xef)) return Utf8State::Tail2;
  if (byte == 0xf0) return Utf8State::AfterF0;
  if (between(byte, 0xf1, 0xf3)) return Utf8State::Tail3;
  if (byte == 0xf4) return Utf8State::AfterF4;
  return Utf8State::Invalid;  // A stray continuation, an overlong C0 or C1, or above F4.
}

Utf8State step(Utf8State state, uint8_t byte) {
  switch (state) {
    case Utf8State::Boundary:
      return lead(byte);
    case Utf8State::Tail1:
      return continues(byte) ? Utf8State::Boundary : Utf8State::Invalid;
    case Utf8State::Tail2:
      return continues(byte) ? Utf8State::Tail1 : Utf8State::Invalid;
    case Utf8State::Tail3:
      return continues(byte) ? Utf8State::Tail2 : Utf8State::Invalid;
    case Utf8State::AfterE0:
      return between(byte, 0xa0, 0xbf) ? Utf8State::Tail1 : Utf8State::Invalid;
    case Utf8State::AfterEd:
      return between(byte, 0x80, 0x9f) ? Utf8State::Tail1 : Utf8State::Invalid;
    case Utf8State::AfterF0:
      return between(byte, 0x90, 0xbf) ? Utf8State::Tail2 : Utf8State::Invalid;
    case Utf8State::AfterF4:
      return between(byte, 0x80, 0x8f) ? Utf8State::Tail2 : Utf8State::Invalid;
    case Utf8State::Invalid:
      break;
  }
  return Utf8State::Invalid;
}

uint64_t word_at(const char* at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

// How many ASCII bytes begin here, in steps of 8: what follows is looked at byte by byte.
size_t ascii_run(const char* at, const char* end) {
  const char* const start = at;
  for (; end - at >= 32; at += 32) {
    const uint64_t any = word_at(at) | word_at(at + 8) | word_at(at + 16) | word_at(at + 24);
    if ((any & kHighBits) != 0) break;
  }
  while (end - at >= 8 && (word_at(at) & kHighBits) == 0) at += 8;
  return static_cast<size_t>(at - start);
}

}  // namespace

Utf8State check_utf8(std::string_view bytes, Utf8State state) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  while (at != end) {
    if (state == Utf8State::Boundary) {
      at += ascii_run(at, end);
      if (at == end) break;
    }
    // Up to the next boundary behind at least 8 bytes: text without ASCII runs doesn't try for one at each character.
    const char* const near = end - at > 8 ? at + 8 : end;
    while (at != end && (at < near || state != Utf8State::Boundary)) {
      state = step(state, static_cast<uint8_t>(*at++));
      if (state == Utf8State::Invalid) return state;
    }
  }
  return state;
}

std::string_view cut_utf8(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && continues(static_cast<uint8_t>(text[bytes]))) --bytes;
  return text.substr(0, bytes);
}

}  // namespace beamgate::ws
