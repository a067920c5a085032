// SharedPages: the memory that the master and all workers share: metrics, keys of TLS tickets, counts and rates of limits, switches, what happened lately, and of
// each slot what its worker and keeper know of each other.
//
// Owner      Master; mapped before the first fork, unmapped with it.  It lies in two files in memory - what keepers
//            share apart from the rest - so that the image of a binary upgrade can map it again.
// Limits     ipc::kSlotsMax slots.
#pragma once

#include <memory>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/ipc/address_table.h"
#include "common/ipc/handover.h"
#include "common/ipc/life.h"
#include "common/ipc/rate_table.h"
#include "common/ipc/recent.h"
#include "common/ipc/switches.h"
#include "common/metrics/metrics.h"
#include "common/tls/ticket_keys.h"

namespace beamgate::master {

class SharedPages {
 public:
  static Result<std::unique_ptr<SharedPages>> create();
  // What another image has made.  REQUIRES: it had this layout() and lives_layout().
  static Result<std::unique_ptr<SharedPages>> adopt(UniqueFd file, UniqueFd lives);
  // Only what keepers share is another image's.  REQUIRES: it had this lives_layout().
  static Result<std::unique_ptr<SharedPages>> create_beside(UniqueFd lives);
  ~SharedPages();
  SharedPages(const SharedPages&) = delete;
  SharedPages& operator=(const SharedPages&) = delete;

  // Differs where an image would misread another one's pages.
  static uint64_t layout();
  static uint64_t lives_layout();
  int descriptor() const { return file_.get(); }
  int lives_descriptor() const { return lives_file_.get(); }

  metrics::Page& metrics(uint16_t slot) { return metrics_[slot]; }
  metrics::Page& metrics_of_master() { return metrics_[ipc::kSlotsMax]; }
  std::vector<const metrics::Page*> metrics_all() const;  // By slot; the master's is the last.
  ipc::AddressTable& addresses() { return *addresses_; }
  ipc::AddressTable& counted_keys() { return *counted_keys_; }
  ipc::RateTable& rates() { return *rates_; }
  ipc::Switches& switches() { return *switches_; }
  ipc::Recent& recent() { return *recent_; }
  tls::TicketKeyPage& ticket_keys() { return *ticket_keys_; }
  ipc::Life& life(uint16_t slot) { return lives_[slot]; }
  ipc::Life& new_life(uint16_t slot);  // REQUIRES: no process of the slot lives.

  // The slot's worker is dead: what it held is no more.  Counters stay.
  void drop_slot(uint16_t slot);

 private:
  SharedPages() = default;
  static Result<std::unique_ptr<SharedPages>> map(UniqueFd file, UniqueFd lives, bool fresh);

  UniqueFd file_;
  UniqueFd lives_file_;
  metrics::Page* metrics_ = nullptr;  // ipc::kSlotsMax of them, and the master's.
  ipc::Life* lives_ = nullptr;        // The same.
  tls::TicketKeyPage* ticket_keys_ = nullptr;
  std::unique_ptr<ipc::AddressTable, ipc::AddressTable::Unmap> addresses_;
  std::unique_ptr<ipc::AddressTable, ipc::AddressTable::Unmap> counted_keys_;
  ipc::RateTable* rates_ = nullptr;
  ipc::Switches* switches_ = nullptr;
  ipc::Recent* recent_ = nullptr;
};

}  // namespace beamgate::master
