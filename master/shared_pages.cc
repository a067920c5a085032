#include "master/shared_pages.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <new>
#include <string>

#include "common/base/bytes.h"

namespace beamgate::master {
namespace {

constexpr size_t kMetricsBytes = ipc::kSlotsMax * sizeof(metrics::Page);
constexpr size_t kSystemPageBytesMax = 64 << 10;
constexpr size_t aligned(size_t bytes) { return (bytes + kSystemPageBytesMax - 1) / kSystemPageBytesMax * kSystemPageBytesMax; }
constexpr size_t kLivesBytes = ipc::kSlotsMax * sizeof(ipc::Life);  // Some MiB; pages come with their use.
constexpr size_t kLivesAt = aligned(kMetricsBytes);
constexpr size_t kAddressesAt = kLivesAt + aligned(kLivesBytes);
constexpr int kAddressTableVersion = 1;  // Changes with how AddressTable lies in memory.
constexpr int kLifeVersion = 1;          // Changes with ipc::Life.

size_t file_bytes() { return kAddressesAt + ipc::AddressTable::bytes_for(ipc::kSlotsMax); }

void* map_part(int file, size_t at, size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, static_cast<off_t>(at));
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

uint64_t SharedPages::layout() {
  std::string text = std::to_string(kAddressTableVersion) + ' ' + std::to_string(kLifeVersion) + ' ' + std::to_string(sizeof(ipc::Life)) + ' ' + std::to_string(ipc::kSlotsMax);
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
  pages->metrics_ = static_cast<metrics::Page*>(map_part(file.get(), 0, kMetricsBytes));  // Zero bytes are zero counts.
  if (pages->metrics_ == nullptr) return system_error("can't map the metrics");
  pages->lives_ = static_cast<ipc::Life*>(map_part(file.get(), kLivesAt, kLivesBytes));
  if (pages->lives_ == nullptr) return system_error("can't map what keepers share");
  auto addresses = ipc::AddressTable::map(file.get(), kAddressesAt, ipc::kSlotsMax, fresh);
  if (!addresses.ok()) return addresses.error();
  pages->addresses_ = std::move(addresses).value();
  pages->file_ = std::move(file);
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
