// Handover: everything a worker inherits from the master, as named fields of one struct.
//
// Owner      The master fills it before fork(); the child owns what is in it and closes every other
//            descriptor above 2.  Nothing else crosses the fork.  For a successor the keeper fills it, from what the
//            dead worker had named in ipc::Life.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/config/model.h"
#include "common/metrics/metrics.h"

namespace beamgate::tls {
class TicketKeyPage;  // common/tls/ticket_keys.h
}

namespace beamgate::ipc {

struct Life;

// Most workers at a time.  Slots come in twins: slot and slot ^ kTwin have the same listening sockets, so that a
// worker and the one that replaces it can serve side by side while connections move.
constexpr uint16_t kSlotsMax = 256;
constexpr uint16_t kTwin = 128;
constexpr uint16_t kWorkersMax = kTwin;  // worker_processes at most.
constexpr uint16_t column_of(uint16_t slot) { return slot % kTwin; }  // Which of a listen's sockets it serves.

struct InheritedListen {
  uint32_t id = 0;  // config::Listen::id
  UniqueFd fd;      // Bound, listening, non-blocking; this worker's own SO_REUSEPORT socket.
};

// What a successor finds of the worker before it.
struct Predecessor {
  UniqueFd arena;
  UniqueFd poller;      // Its epoll set, with the clients still in it.
  int32_t death = 0;    // common/ipc/life.h
};

// Shared counts of client connections by address, and of limit_conn's keys; see common/ipc/address_table.h.
class AddressTable;
// Shared rates of limit_req's keys; see common/ipc/rate_table.h.
class RateTable;
struct Recent;
struct Switches;

struct Handover {
  uint16_t slot = 0;        // 0 .. worker_processes - 1; the place that outlives its workers.
  uint16_t worker = 0;      // Unique among the workers of this master's life; never reused while alive.
  uint32_t generation = 0;  // Of the configuration.
  std::shared_ptr<const config::Config> config;
  UniqueFd bus;             // SOCK_SEQPACKET end.
  UniqueFd arena;           // memfd for this slot's records; empty for a first worker.
  UniqueFd log;             // The error log's descriptor; invalid means stderr.
  std::vector<InheritedListen> listens;
  metrics::Page* metrics = nullptr;                    // This worker's page.
  std::vector<const metrics::Page*> metrics_all;       // Of every slot, this one included.
  AddressTable* addresses = nullptr;
  AddressTable* counted_keys = nullptr;
  RateTable* rates = nullptr;
  Switches* switches = nullptr;  // Null: there are none.
  Recent* recent = nullptr;      // Likewise.
  uint64_t address_seed = 0;  // Random, the same for all workers: keys the hashes in the tables above.
  const tls::TicketKeyPage* tickets = nullptr;  // What TLS session tickets are sealed with; null: nobody makes keys.
  Life* life = nullptr;  // Shared with the keeper; null: the worker runs without one.
  UniqueFd config_text;     // What `config` was parsed from, as Prepare brings it; invalid: it came with the fork.
  std::optional<Predecessor> predecessor;  // Set for a successor.
  bool sandbox = false;     // As the configuration said when the master forked; no worker can change it.
  int64_t started_ms = 0;   // Unix time at which this node began; what its uptime is counted from.
};

}  // namespace beamgate::ipc
