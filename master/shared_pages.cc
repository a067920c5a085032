#include "master/shared_pages.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <new>
#include <string>

#include "common/base/bytes.h"
#include "common/base/clock.h"

namespace beamgate::master {
namespace {

constexpr size_t kMetricsBytes = (ipc::kSlotsMax + 1) * sizeof(metrics::Page);
constexpr size_t kLivesBytes = ipc::kSlotsMax * sizeof(ipc::Life);  // Some MiB; pages come with their use.
constexpr size_t kSystemPageBytesMax = 64 << 10;
constexpr size_t whole_pages(size_t bytes) {
  return (bytes + kSystemPageBytesMax - 1) / kSystemPageBytesMax * kSystemPageBytesMax;
}
constexpr size_t kTicketKeysAt = whole_pages(kMetricsBytes);
constexpr size_t kAddressesAt = kTicketKeysAt + whole_pages(sizeof(tls::TicketKeyPage));
// Beside the sizes, which tell of most changes by themselves.
constexpr int kTicketKeysVersion = 1;    // Changes with tls::TicketKeyPage.
constexpr int kAddressTableVersion = 1;  // Changes with how AddressTable lies in memory.
constexpr int kRateTableVersion = 1;     // Changes with RateTable.
constexpr int kSwitchesVersion = 2;      // Changes with ipc::Switches.
constexpr int kRecentVersion = 1;        // Changes with ipc::Recent.
constexpr int kLifeVersion = 1;          // Changes with ipc::Life.

size_t counted_keys_at() { return kAddressesAt + whole_pages(ipc::AddressTable::bytes_for(ipc::kSlotsMax)); }
size_t rates_at() { return counted_keys_at() + whole_pages(ipc::AddressTable::bytes_for(ipc::kSlotsMax)); }
size_t switches_at() { return rates_at() + whole_pages(sizeof(ipc::RateTable)); }
size_t recent_at() { return switches_at() + whole_pages(sizeof(ipc::Switches)); }
size_t pages_bytes() { return recent_at() + sizeof(ipc::Recent); }

Result<UniqueFd> new_file(size_t bytes) {
  UniqueFd file(memfd_create("beamgate-pages", MFD_CLOEXEC));
  if (!file.valid() || ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) {
    return system_error("can't make the shared pages");
  }
  return file;
}

bool has_size(const UniqueFd& file, size_t bytes) {
  struct stat status {};
  return fstat(file.get(), &status) == 0 && static_cast<size_t>(status.st_size) == bytes;
}

void* map_file(const UniqueFd& file, size_t bytes, size_t offset = 0) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), static_cast<off_t>(offset));
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

// Another's pages begin anew, which costs what they counted and remembered, and is safe.
uint64_t SharedPages::layout() {
  std::string text = std::to_string(ipc::kSlotsMax) + ' ' + std::to_string(metrics::layout());
  const auto add = [&text](int version, size_t bytes) {
    (text += ' ') += std::to_string(version);
    (text += ' ') += std::to_string(bytes);
  };
  add(kAddressTableVersion, ipc::AddressTable::bytes_for(ipc::kSlotsMax));
  add(kRateTableVersion, sizeof(ipc::RateTable));
  add(kTicketKeysVersion, sizeof(tls::TicketKeyPage));
  add(kSwitchesVersion, sizeof(ipc::Switches));
  add(kRecentVersion, sizeof(ipc::Recent));
  return stable_hash(text);
}

// With another's lives no upgrade is possible: the text changes with them alone.
uint64_t SharedPages::lives_layout() {
  return stable_hash(std::to_string(kLifeVersion) + ' ' + std::to_string(kLivesBytes));
}

Result<std::unique_ptr<SharedPages>> SharedPages::create() {
  auto lives = new_file(kLivesBytes);
  if (!lives.ok()) return lives.error();
  return create_beside(std::move(lives).value());
}

Result<std::unique_ptr<SharedPages>> SharedPages::create_beside(UniqueFd lives) {
  auto file = new_file(pages_bytes());
  if (!file.ok()) return file.error();
  return map(std::move(file).value(), std::move(lives), true);
}

Result<std::unique_ptr<SharedPages>> SharedPages::adopt(UniqueFd file, UniqueFd lives) {
  return map(std::move(file), std::move(lives), false);
}

Result<std::unique_ptr<SharedPages>> SharedPages::map(UniqueFd file, UniqueFd lives, bool fresh) {
  // A page beyond the end of a file kills who touches it.
  if (!has_size(file, pages_bytes()) || !has_size(lives, kLivesBytes)) {
    return Error{Code::Invalid, 0, "shared pages of another size"};
  }
  std::unique_ptr<SharedPages> pages(new SharedPages);
  pages->metrics_ = static_cast<metrics::Page*>(map_file(file, kMetricsBytes));  // Zero bytes are zero counts.
  if (pages->metrics_ == nullptr) return system_error("can't map the metrics");
  pages->ticket_keys_ = static_cast<tls::TicketKeyPage*>(map_file(file, sizeof(tls::TicketKeyPage), kTicketKeysAt));
  if (pages->ticket_keys_ == nullptr) return system_error("can't map the keys of tickets");
  pages->lives_ = static_cast<ipc::Life*>(map_file(lives, kLivesBytes));
  if (pages->lives_ == nullptr) return system_error("can't map what keepers share");
  auto addresses = ipc::AddressTable::map(file.get(), kAddressesAt, ipc::kSlotsMax, fresh);
  if (!addresses.ok()) return addresses.error();
  pages->addresses_ = std::move(addresses).value();
  auto keys = ipc::AddressTable::map(file.get(), static_cast<int64_t>(counted_keys_at()), ipc::kSlotsMax, fresh);
  if (!keys.ok()) return keys.error();
  pages->counted_keys_ = std::move(keys).value();
  // Zero bytes are an empty table.
  pages->rates_ = static_cast<ipc::RateTable*>(map_file(file, sizeof(ipc::RateTable), rates_at()));
  if (pages->rates_ == nullptr) return system_error("can't map the rates of limit_req");
  pages->switches_ = static_cast<ipc::Switches*>(map_file(file, sizeof(ipc::Switches), switches_at()));
  if (pages->switches_ == nullptr) return system_error("can't map the switches");
  if (fresh) pages->switches_->logouts.begin(wall_ms() / 1'000);
  pages->recent_ = static_cast<ipc::Recent*>(map_file(file, sizeof(ipc::Recent), recent_at()));
  if (pages->recent_ == nullptr) return system_error("can't map what happened lately");
  pages->file_ = std::move(file);
  pages->lives_file_ = std::move(lives);
  return pages;
}

SharedPages::~SharedPages() {
  if (metrics_ != nullptr) munmap(metrics_, kMetricsBytes);
  if (ticket_keys_ != nullptr) munmap(ticket_keys_, sizeof(tls::TicketKeyPage));
  if (lives_ != nullptr) munmap(lives_, kLivesBytes);
  if (rates_ != nullptr) munmap(rates_, sizeof(ipc::RateTable));
  if (switches_ != nullptr) munmap(switches_, sizeof(ipc::Switches));
  if (recent_ != nullptr) munmap(recent_, sizeof(ipc::Recent));
}

std::vector<const metrics::Page*> SharedPages::metrics_all() const {
  std::vector<const metrics::Page*> out;
  for (uint16_t slot = 0; slot <= ipc::kSlotsMax; ++slot) out.push_back(&metrics_[slot]);
  return out;
}

ipc::Life& SharedPages::new_life(uint16_t slot) { return *new (&lives_[slot]) ipc::Life(); }

void SharedPages::drop_slot(uint16_t slot) {
  metrics::reset_gauges(metrics_[slot]);
  addresses_->drop_slot(slot);
  counted_keys_->drop_slot(slot);
}

}  // namespace beamgate::master
