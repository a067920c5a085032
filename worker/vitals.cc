#include "worker/vitals.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "common/base/unique_fd.h"

namespace beamgate {
namespace {

// The second word of /proc/self/statm is resident pages.
uint64_t resident_bytes() {
  const UniqueFd file(open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  char text[128] = {};
  if (!file.valid() || read(file.get(), text, sizeof text - 1) <= 0) return 0;
  char* end = nullptr;
  strtoull(text, &end, 10);
  return strtoull(end, nullptr, 10) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

void Vitals::tick(int64_t now_us, int64_t interval_ms, const Figures& figures) {
  using metrics::Metric;
  if (last_us_ != 0) {
    const int64_t late_us = std::max<int64_t>(now_us - last_us_ - interval_ms * 1'000, 0);
    metrics_.observe(metrics::Histogram::LoopLag, late_us);
    worst_us_ = std::max(worst_us_, late_us);
  }
  last_us_ = now_us;
  if (now_us - window_began_us_ >= kWindowUs) {
    window_began_us_ = now_us;
    worst_before_us_ = worst_us_;
    worst_us_ = 0;
  }
  metrics_.set(Metric::WorkerLoopLag, static_cast<uint64_t>(std::max(worst_us_, worst_before_us_)));
  metrics_.set(Metric::WorkerConnections, figures.connections);
  metrics_.set(Metric::WorkerMemoryArena, figures.arena_bytes);
  metrics_.set(Metric::BusQueueToMaster, figures.bus_queue_bytes);
  if (now_us - memory_looked_at_us_ < kMemoryUs) return;
  memory_looked_at_us_ = now_us;
  metrics_.set(Metric::WorkerMemoryResident, resident_bytes());
}

}  // namespace beamgate
