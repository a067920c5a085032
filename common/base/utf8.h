// UTF-8 (Unicode 15, table 3-7; RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace beamgate {

// Length of the well-formed sequence at the front of `text`; 0 when there is none.
size_t utf8_sequence_length(std::string_view text);

bool valid_utf8(std::string_view text);

}  // namespace beamgate
