#include "master/shared_pages.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "common/base/bytes.h"

namespace beamgate::master {
namespace {

constexpr size_t kMetricsBytes = ipc::kSlotsMax * sizeof(metrics::Page);
constexpr size_t kSystemPageBytesMax = 64 << 10;
constexpr size_t kAddressesAt = (kMetricsBytes + kSystemPageBytesMax - 1) / kSystemPageBytesMax * kSystemPageBytesMax;
constexpr int kAddressTableVersion = 1;  // Changes with how AddressTable lies in memory.

size_t file_bytes() { return kAddressesAt + ipc::AddressTable::bytes_for(ipc::kSlotsMax); }

}  // namespace

uint64_t SharedPages::layout() {
  std::string text = std::to_string(kAddressTableVersion) + ' ' + std::to_string(ipc::kSlotsMax);
  for (size_t i = 0; i < static_cast<size_t>(metrics::Metric::kCount); ++i) {
    text += ' ';
    text += metrics::name_of(static_cast<metrics::Metric>(i));
  }
  return stable_hash(text);
}

Result<std::unique_ptr<SharedPages>> SharedPages::create() {
  UniqueFd file(memfd_create("beamgate-pages", MFD_CLOEXEC));
  if (!file.valid() || ftruncate(file.get(), static_cast<off_t>(file_bytes())) != 0) {
    return system_error("can't make the shared pages");
  }
  return map(std::move(file), true);
}

Result<std::unique_ptr<SharedPages>> SharedPages::adopt(UniqueFd file) {
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return system_error("no shared pages");
  if (static_cast<size_t>(status.st_size) != file_bytes()) return Error{Code::Invalid, 0, "shared pages of another size"};
  return map(std::move(file), false);
}

Result<std::unique_ptr<SharedPages>> SharedPages::map(UniqueFd file, bool fresh) {
  std::unique_ptr<SharedPages> pages(new SharedPages);
  void* memory = mmap(nullptr, kMetricsBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return system_error("can't map the metrics");
  pages->metrics_ = static_cast<metrics::Page*>(memory);  // Zero bytes are zero counts.
  auto addresses = ipc::AddressTable::map(file.get(), kAddressesAt, ipc::kSlotsMax, fresh);
  if (!addresses.ok()) return addresses.error();
  pages->addresses_ = std::move(addresses).value();
  pages->file_ = std::move(file);
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
