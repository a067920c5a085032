// UTF-8: both validators, whole texts and texts in pieces, say what a decoder by the book says (RFC 3629).
#include "common/base/assert.h"
#include "common/base/utf8.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "worker/ws/utf8_stream.h"

namespace beamgate::fuzz {
namespace {

// The length of the character at the front, 0 when there is none: it is decoded, and must need that many bytes.
size_t length_by_the_book(std::string_view text) {
  const auto byte = [&](size_t at) { return static_cast<uint32_t>(static_cast<uint8_t>(text[at])); };
  if (text.empty()) return 0;
  const size_t length = byte(0) < 0x80 ? 1 : byte(0) >> 5 == 6 ? 2 : byte(0) >> 4 == 14 ? 3 : byte(0) >> 3 == 30 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  uint32_t scalar = length == 1 ? byte(0) : byte(0) & (0x7fu >> length);
  for (size_t at = 1; at < length; ++at) {
    if (byte(at) >> 6 != 2) return 0;
    scalar = scalar << 6 | (byte(at) & 0x3f);
  }
  const size_t needed = scalar < 0x80 ? 1 : scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4;
  const bool surrogate = scalar >= 0xd800 && scalar <= 0xdfff;
  return needed == length && !surrogate && scalar <= 0x10ffff ? length : 0;
}

bool valid_by_the_book(std::string_view text) {
  while (!text.empty()) {
    const size_t length = length_by_the_book(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

FUZZ_TARGET(utf8) {
  const bool valid = valid_by_the_book(bytes);
  BG_ASSERT(utf8_sequence_length(bytes) == length_by_the_book(bytes));
  BG_ASSERT(valid_utf8(bytes) == valid);
  const ws::Utf8State whole = ws::check_utf8(bytes);
  BG_ASSERT((whole == ws::Utf8State::Boundary) == valid);
  for (const Cut cut : kCuts) {
    ws::Utf8State state = ws::Utf8State::Boundary;
    in_pieces(bytes, cut, [&](std::string_view piece) {
      state = ws::check_utf8(piece, state);
      return true;
    });
    BG_ASSERT(state == whole);
  }
  if (!valid) return;
  for (size_t most = 0; most <= std::min<size_t>(bytes.size(), 64); ++most) {
    const std::string_view cut = ws::cut_utf8(bytes, most);
    BG_ASSERT(valid_by_the_book(cut) && cut.size() <= most && cut.size() + 3 >= std::min(most, bytes.size()));
  }
}

}  // namespace beamgate::fuzz
