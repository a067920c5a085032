#include "master/shared_pages.h"

#include <sys/mman.h>

namespace beamgate::master {
namespace {

constexpr size_t kMetricsBytes = ipc::kSlotsMax * sizeof(metrics::Page);

}  // namespace

Result<std::unique_ptr<SharedPages>> SharedPages::create() {
  std::unique_ptr<SharedPages> pages(new SharedPages);
  void* memory = mmap(nullptr, kMetricsBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return system_error("can't map the metrics");
  pages->metrics_ = static_cast<metrics::Page*>(memory);  // Zero bytes are zero counts.
  auto addresses = ipc::AddressTable::create(ipc::kSlotsMax);
  if (!addresses.ok()) return addresses.error();
  pages->addresses_ = std::move(addresses).value();
  return pages;
}

SharedPages::~SharedPages() {
  if (metrics_ != nullptr) munmap(metrics_, kMetricsBytes);
}

std::vector<const metrics::Page*> SharedPages::metrics_all() const {
  std::vector<const metrics::Page*> out;
  for (uint16_t slot = 0; slot < ipc::kSlotsMax; ++slot) out.push_back(&metrics_[slot]);
  return out;
}

void SharedPages::drop_slot(uint16_t slot) {
  metrics::reset_gauges(metrics_[slot]);
  addresses_->drop_slot(slot);
}

}  // namespace beamgate::master
