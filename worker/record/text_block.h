// Text block: a string in the arena, u32 length and bytes.
#pragma once

#include <string_view>

#include "worker/record/arena.h"

namespace beamgate::record {

// kNull for empty text, or when the arena is full.
Ref make_text(Arena& arena, std::string_view text);

// Empty for kNull.
std::string_view text_of(const Arena& arena, Ref ref);

// Releases what `ref` held and puts `text` there; false (and ref unchanged) when the arena is full.
bool assign_text(Arena& arena, Ref& ref, std::string_view text);

}  // namespace beamgate::record
