#include "worker/worker_main.h"

#include <fcntl.h>

#include <csignal>

#include "common/ipc/address_table.h"
#include "common/ipc/sweep.h"
#include "worker/worker.h"

namespace beamgate::worker {
namespace {

// The terminal sends these to the whole process group; for a worker they come from the master, on the bus.
void leave_signals_to_the_master() {
  for (const int number : {SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE}) signal(number, SIG_IGN);
}

// Until connections are adopted: they end here.
void forget_predecessor(ipc::Handover& handover) {
  if (!handover.predecessor) return;
  handover.predecessor.reset();
  std::vector<int> keep = {handover.bus.get(), handover.arena.get(), handover.log.get(), handover.config_text.get()};
  for (const auto& listen : handover.listens) keep.push_back(listen.fd.get());
  ipc::sweep_descriptors(std::move(keep));
  metrics::reset_gauges(*handover.metrics);
  handover.addresses->drop_slot(handover.slot);
}

}  // namespace

int run(ipc::Handover&& handover) {
  leave_signals_to_the_master();
  forget_predecessor(handover);
  UniqueFd arena_file = std::move(handover.arena);
  auto arena = record::Arena::map(UniqueFd(fcntl(arena_file.get(), F_DUPFD_CLOEXEC, 3)),
                                  handover.config->worker_connections);
  auto poller = net::Poller::create();
  if (!arena.ok() || !poller.ok()) {
    log::Log log("worker");
    log.inherit(std::move(handover.log), handover.config->error_log_path, handover.config->error_log_level);
    log.write(log::Level::Emerg, "worker_start_failed",
              {{"reason", (arena.ok() ? poller.error() : arena.error()).message()}});
    return 1;
  }
  Worker worker(std::move(handover), std::move(arena_file), std::move(arena).value(), std::move(poller).value());
  return worker.run();
}

}  // namespace beamgate::worker
