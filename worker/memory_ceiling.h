// Memory ceiling: whether a worker has as much memory in use as it may (memory_limit).
//
// Counted    Blocks of the arena and of the heap that are in use: what is freed counts no more at once, whether or not
//            the allocator gives its pages back.
// Owner      Worker; it looks once per tick.
// Thread     Worker loop thread only.
#pragma once

#include <cstdint>

#include "common/log/log.h"
#include "worker/record/arena.h"

namespace beamgate {

class MemoryCeiling {
 public:
  MemoryCeiling(const record::Arena& arena, log::Log& log) : arena_(arena), log_(log) {}

  // limit_bytes 0: never reached.
  bool reached(uint64_t limit_bytes);

 private:
  const record::Arena& arena_;
  log::Log& log_;
  bool reached_ = false;
};

}  // namespace beamgate
