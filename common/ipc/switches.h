// Switches: what is changed on the running node, for all of its processes: the log level until the next reload, taps as
// long as somebody looks, and which sessions have been ended.
//
// Owner      The master maps it before the first fork; zero bytes are "as configured".
// Thread     Any process; each field is a word of its own, looked at now and then.
#pragma once

#include <atomic>
#include <cstdint>

#include "common/ipc/logouts.h"
#include "common/ipc/taps.h"
#include "common/log/log.h"

namespace beamgate::ipc {

struct Switches {
  std::atomic<uint32_t> log_level_and_one = 0;  // Of the error log; 0: as configured.
  Taps taps;
  Logouts logouts;  // Of dashboards.

  log::Level log_level(log::Level configured) const {
    const uint32_t word = log_level_and_one.load(std::memory_order_relaxed);
    return word == 0 ? configured : static_cast<log::Level>(word - 1);
  }
  void set_log_level(log::Level level) {
    log_level_and_one.store(static_cast<uint32_t>(level) + 1, std::memory_order_relaxed);
  }
  void reset() { log_level_and_one.store(0, std::memory_order_relaxed); }
};
static_assert(std::atomic<uint32_t>::is_always_lock_free);

}  // namespace beamgate::ipc
