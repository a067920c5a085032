#include "worker/record/frame.h"

#include <cstring>

namespace beamgate::record {

Ref make_frame(Arena& arena, size_t bytes) {
  const Ref frame = arena.allocate(sizeof(FrameHeader) + bytes);
  if (frame == kNull) return kNull;
  *arena.at<FrameHeader>(frame) = FrameHeader{1, static_cast<uint32_t>(bytes)};
  return frame;
}

Ref make_frame(Arena& arena, std::string_view bytes) {
  const Ref frame = make_frame(arena, bytes.size());
  if (frame != kNull) memcpy(frame_bytes(arena, frame).data(), bytes.data(), bytes.size());
  return frame;
}

void release_frame(Arena& arena, Ref frame) {
  if (frame == kNull) return;
  auto* header = arena.at<FrameHeader>(frame);
  BG_ASSERT(header->references > 0);
  if (--header->references == 0) arena.release(frame);
}

}  // namespace beamgate::record
