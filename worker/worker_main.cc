#include "worker/worker_main.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <vector>

#include "common/fault/fault.h"
#include "common/ipc/address_table.h"
#include "common/ipc/sweep.h"
#include "worker/sandbox/sandbox.h"
#include "worker/worker.h"

namespace beamgate::worker {
namespace {

// The terminal sends these to the whole process group; for a worker they come from the master, on the bus.  A log that
// may not grow (SIGXFSZ) is as a disk that is full.
void leave_signals_to_the_master() {
  for (const int number : {SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ}) signal(number, SIG_IGN);
}

// By default the heap's end goes back to the kernel, and is faulted in again, with every larger buffer that comes and
// goes; that is slower than what the buffers are for.
void keep_some_heap() {
  mallopt(M_TRIM_THRESHOLD, 8 << 20);
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
}

// Before a byte of anybody's is read: neither a client nor what a predecessor left finds us without it.
void enter_sandbox(const ipc::Handover& handover, log::Log& log) {
  const config::Config& config = *handover.config;
  log.borrow(handover.log.valid() ? handover.log.get() : 2, config.error_log_path, config.error_log_level);
  for (const std::string& missing : sandbox::enter()) log.warn("worker_sandbox_incomplete", {{"reason", missing}});
}

// Before anything of our own is opened: what a predecessor left is looked at, and what nobody needs is closed.
std::optional<Inherited> take_over(ipc::Handover& handover, log::Log& log) {
  if (!handover.predecessor) return std::nullopt;
  ipc::Predecessor& predecessor = *handover.predecessor;
  std::vector<int> keep = {handover.bus.get(), handover.arena.get(), handover.log.get(), handover.config_text.get(),
                           predecessor.poller.get()};
  for (const ipc::InheritedListen& listen : handover.listens) keep.push_back(listen.fd.get());
  auto inherited = open_predecessor(predecessor);
  if (!inherited.ok()) {
    log.write(log::Level::Alert, "predecessor_lost", {{"reason", inherited.error().message()}});
    predecessor.poller.reset();
    ipc::sweep_descriptors(std::move(keep));
    metrics::reset_gauges(*handover.metrics);
    if (handover.addresses != nullptr) handover.addresses->drop_slot(handover.slot);
    if (handover.counted_keys != nullptr) handover.counted_keys->drop_slot(handover.slot);
    return std::nullopt;
  }
  const std::vector<int> clients = clients_of(inherited.value().arena);
  keep.insert(keep.end(), clients.begin(), clients.end());
  inherited.value().accepted = accepted_client(inherited.value().arena, handover.listens, clients);
  if (inherited.value().accepted) keep.push_back(inherited.value().accepted->client.get());
  const std::vector<int> pages = pages_of(inherited.value().arena);
  keep.insert(keep.end(), pages.begin(), pages.end());
  keep.push_back(inherited.value().arena.descriptor());
  ipc::sweep_descriptors(std::move(keep));
  return std::move(inherited).value();
}

}  // namespace

int run(ipc::Handover&& handover) {
  leave_signals_to_the_master();
  keep_some_heap();
  fault::point("worker-begun");
  log::Log log("worker");
  if (handover.sandbox) enter_sandbox(handover, log);
  std::optional<Inherited> inherited = take_over(handover, log);
  // Never fewer than who was before: a reload may have lowered the number, and its connections are there.
  const uint32_t slots = std::max(handover.config->worker_connections + net::kReservedConnections,
                                  inherited ? inherited->arena.slots() : 0);
  auto arena = record::Arena::map(std::move(handover.arena), slots);
  const bool has_clients = inherited && handover.predecessor->poller.valid();
  auto poller = has_clients ? net::Poller::inherit(std::move(handover.predecessor->poller)) : net::Poller::create();
  if (!arena.ok() || !poller.ok()) {
    log.inherit(std::move(handover.log), handover.config->error_log_path, handover.config->error_log_level);
    log.write(log::Level::Emerg, "worker_start_failed",
              {{"reason", (arena.ok() ? poller.error() : arena.error()).message()}});
    if (inherited) _exit(1);  // Closing nothing: a next successor finds it all as it is.
    return 1;
  }
  const bool succeeds = inherited.has_value();
  Worker worker(std::move(handover), std::move(arena).value(), std::move(poller).value(),
                inherited ? &*inherited : nullptr);
  inherited.reset();
  const int status = worker.run();
  if (status != 0 && succeeds) _exit(status);
  return status;
}

}  // namespace beamgate::worker
