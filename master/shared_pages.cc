#include "master/shared_pages.h"

#include <sys/mman.h>

#include <new>

namespace beamgate::master {
namespace {

constexpr size_t kMetricsBytes = ipc::kSlotsMax * sizeof(metrics::Page);
constexpr size_t kLivesBytes = ipc::kSlotsMax * sizeof(ipc::Life);  // Some MiB; pages come with their use.

void* map_shared(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

Result<std::unique_ptr<SharedPages>> SharedPages::create() {
  std::unique_ptr<SharedPages> pages(new SharedPages);
  pages->metrics_ = static_cast<metrics::Page*>(map_shared(kMetricsBytes));  // Zero bytes are zero counts.
  if (pages->metrics_ == nullptr) return system_error("can't map the metrics");
  pages->lives_ = static_cast<ipc::Life*>(map_shared(kLivesBytes));
  if (pages->lives_ == nullptr) return system_error("can't map what keepers share");
  auto addresses = ipc::AddressTable::create(ipc::kSlotsMax);
  if (!addresses.ok()) return addresses.error();
  pages->addresses_ = std::move(addresses).value();
  return pages;
}

SharedPages::~SharedPages() {
  if (metrics_ != nullptr) munmap(metrics_, kMetricsBytes);
  if (lives_ != nullptr) munmap(lives_, kLivesBytes);
}

std::vector<const metrics::Page*> SharedPages::metrics_all() const {
  std::vector<const metrics::Page*> out;
  for (uint16_t slot = 0; slot < ipc::kSlotsMax; ++slot) out.push_back(&metrics_[slot]);
  return out;
}

ipc::Life& SharedPages::new_life(uint16_t slot) { return *new (&lives_[slot]) ipc::Life(); }

void SharedPages::drop_slot(uint16_t slot) {
  metrics::reset_gauges(metrics_[slot]);
  addresses_->drop_slot(slot);
}

}  // namespace beamgate::master
