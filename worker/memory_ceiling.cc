#include "worker/memory_ceiling.h"

#include <malloc.h>

namespace beamgate {

bool MemoryCeiling::reached(uint64_t limit_bytes) {
  uint64_t in_use = 0;
  if (limit_bytes > 0) {
    const struct mallinfo2 heap = mallinfo2();
    in_use = arena_.bytes_live() + heap.uordblks + heap.hblkhd;
  }
  const bool now = limit_bytes > 0 && in_use > limit_bytes;
  if (now != reached_) {
    log_.write(now ? log::Level::Warn : log::Level::Notice, now ? "memory_limit_reached" : "memory_limit_left",
               {{"in_use", in_use}, {"limit", limit_bytes}});
  }
  reached_ = now;
  return reached_;
}

}  // namespace beamgate
