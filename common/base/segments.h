// Segments: names in parts, separated by : . or /, and patterns of them in which a part is *: any one part
// that isn't empty.
#pragma once

#include <string_view>

namespace beamgate {

// Some part of the name is "*".
bool has_wildcard(std::string_view name);

// As many parts, with the same separators, and equal where the pattern's is not "*".
bool matches_segments(std::string_view pattern, std::string_view name);

}  // namespace beamgate
