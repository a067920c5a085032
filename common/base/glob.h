// Glob: patterns of names, such as those of channels.
//
// Syntax   * any run of bytes, ? one byte, \x the byte x; everything else stands for itself.
// Cost     At most pattern bytes x name bytes steps, whatever the pattern.
#pragma once

#include <string>
#include <string_view>

namespace beamgate {

bool matches(std::string_view pattern, std::string_view name);

// What every matching name begins with: the pattern up to its first * or ?, unescaped.
std::string literal_prefix(std::string_view pattern);

}  // namespace beamgate
