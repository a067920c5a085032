// UTF-8 stream: validation of text that arrives in pieces (RFC 3629 section 4).
//
// The state between two pieces is one byte, so it can live in a record.  Whole texts: common/base/utf8.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace beamgate::ws {

enum class Utf8State : uint8_t {
  Boundary,     // Between two characters; the only state a text may end in.
  Tail1,        // Any one continuation byte follows.
  Tail2,        // Any two.
  Tail3,        // Any three.
  AfterE0,      // A0..BF, then one: nothing shorter would do otherwise (overlong).
  AfterEd,      // 80..9F, then one: surrogates are not characters.
  AfterF0,      // 90..BF, then two: overlong otherwise.
  AfterF4,      // 80..8F, then two: at most U+10FFFF.
  Invalid,      // No continuation can make it valid; stays.
};

// The state after these bytes.
Utf8State check_utf8(std::string_view bytes, Utf8State state = Utf8State::Boundary);


// The longest prefix of at most `bytes` bytes that doesn't cut a character of a valid text.
std::string_view cut_utf8(std::string_view text, size_t bytes);

}  // namespace beamgate::ws
