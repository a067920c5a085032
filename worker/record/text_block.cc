#include "worker/record/text_block.h"

#include <cstring>

#include "common/base/bytes.h"

namespace beamgate::record {

Ref make_text(Arena& arena, std::string_view text) {
  if (text.empty()) return kNull;
  const Ref ref = arena.allocate(sizeof(uint32_t) + text.size());
  if (ref == kNull) return kNull;
  char* bytes = arena.at(ref);
  store_le(bytes, static_cast<uint32_t>(text.size()));
  memcpy(bytes + sizeof(uint32_t), text.data(), text.size());
  return ref;
}

std::string_view text_of(const Arena& arena, Ref ref) {
  if (ref == kNull) return {};
  const char* bytes = arena.at(ref);
  return {bytes + sizeof(uint32_t), load_le<uint32_t>(bytes)};
}

bool assign_text(Arena& arena, Ref& ref, std::string_view text) {
  const Ref fresh = make_text(arena, text);
  if (fresh == kNull && !text.empty()) return false;
  arena.release(ref);
  ref = fresh;
  return true;
}

}  // namespace beamgate::record
