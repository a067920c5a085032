// Printable: texts that somebody else has chosen, so that a terminal shows them and does nothing else.
//
// Escaped    As \xNN, byte by byte: controls (C0, DEL, and C1, which are U+0080 to U+009F: some terminals take U+009B
//            for ESC [), and whatever is no UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace beamgate {

bool is_printable(std::string_view text);  // Nothing of it is escaped.
std::string printable(std::string_view text);

}  // namespace beamgate
