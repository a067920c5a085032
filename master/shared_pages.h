// SharedPages: the memory that the master and all workers share: metrics, address counts, and of each slot what
// its worker and keeper know of each other.
//
// Owner      Master; mapped before the first fork, unmapped with it.  It lies in a memfd, so that the image of a
//            binary upgrade can map it again.
// Limits     ipc::kSlotsMax slots.
#pragma once

#include <memory>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/ipc/address_table.h"
#include "common/ipc/handover.h"
#include "common/ipc/life.h"
#include "common/metrics/metrics.h"

namespace beamgate::master {

class SharedPages {
 public:
  static Result<std::unique_ptr<SharedPages>> create();
  // What another image has made; REQUIRES: it had this layout().
  static Result<std::unique_ptr<SharedPages>> adopt(UniqueFd file);
  ~SharedPages();
  SharedPages(const SharedPages&) = delete;
  SharedPages& operator=(const SharedPages&) = delete;

  // Differs where an image would misread another one's pages.
  static uint64_t layout();
  int descriptor() const { return file_.get(); }

  metrics::Page& metrics(uint16_t slot) { return metrics_[slot]; }
  std::vector<const metrics::Page*> metrics_all() const;
  ipc::AddressTable& addresses() { return *addresses_; }
  ipc::Life& life(uint16_t slot) { return lives_[slot]; }
  ipc::Life& new_life(uint16_t slot);  // REQUIRES: no process of the slot lives.

  // The slot's worker is dead: what it held is no more.  Counters stay.
  void drop_slot(uint16_t slot);

 private:
  SharedPages() = default;
  static Result<std::unique_ptr<SharedPages>> map(UniqueFd file, bool fresh);

  UniqueFd file_;
  metrics::Page* metrics_ = nullptr;  // ipc::kSlotsMax of them.
  ipc::Life* lives_ = nullptr;        // The same.
  std::unique_ptr<ipc::AddressTable, ipc::AddressTable::Unmap> addresses_;
};

}  // namespace beamgate::master
