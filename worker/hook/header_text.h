// Header text: values that may be anything, in header fields that must be printable ASCII.
//
// Format   "%XX" for "%", for every byte outside 0x20 to 0x7e, and for a space at either end; everything else
//          stands for itself.  So a value of plain ASCII without "%" travels as it is, and no value can end
//          a field line.  The same holds for what an application says in beamgate-user, beamgate-state and
//          the channel lists of its reply.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace beamgate::hook {

void append_percent_encoded(std::string& out, std::string_view value);
std::string percent_encode(std::string_view value);

// Empty when a "%" is not followed by two hex digits.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace beamgate::hook
