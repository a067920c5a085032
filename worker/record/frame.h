// Frame: bytes ready for the wire, encoded once and shared by every connection that sends them.
//
// Owner      Reference-counted; each outbound queue entry holds one reference, its maker another until it
//            lets go.  The count lives beside the bytes in the arena and can be rebuilt from the queues.
// Thread     Worker loop thread only.
#pragma once

#include <span>
#include <string_view>

#include "worker/record/arena.h"

namespace beamgate::record {

struct FrameHeader {
  uint32_t references = 0;
  uint32_t bytes = 0;
};

// An uninitialised frame of `bytes` bytes with one reference; kNull when the arena is full.
Ref make_frame(Arena& arena, size_t bytes);
Ref make_frame(Arena& arena, std::string_view bytes);

inline std::span<char> frame_bytes(const Arena& arena, Ref frame) {
  auto* header = arena.at<FrameHeader>(frame);
  return {reinterpret_cast<char*>(header + 1), header->bytes};
}

inline void retain_frame(const Arena& arena, Ref frame) { ++arena.at<FrameHeader>(frame)->references; }
void release_frame(Arena& arena, Ref frame);  // kNull is allowed.

// Owns one reference for a scope.
class FrameHolder {
 public:
  FrameHolder(Arena& arena, Ref frame) : arena_(arena), frame_(frame) {}
  FrameHolder(const FrameHolder&) = delete;
  FrameHolder& operator=(const FrameHolder&) = delete;
  ~FrameHolder() { release_frame(arena_, frame_); }
  Ref get() const { return frame_; }

 private:
  Arena& arena_;
  Ref frame_;
};

}  // namespace beamgate::record
