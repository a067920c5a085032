#include "worker/worker_main.h"

#include <csignal>

#include "worker/worker.h"

namespace beamgate::worker {
namespace {

// The terminal sends these to the whole process group; for a worker they come from the master, on the bus.
void leave_signals_to_the_master() {
  for (const int number : {SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE}) signal(number, SIG_IGN);
}

}  // namespace

int run(ipc::Handover&& handover) {
  leave_signals_to_the_master();
  auto arena = record::Arena::map(std::move(handover.arena), handover.config->worker_connections);
  auto poller = net::Poller::create();
  if (!arena.ok() || !poller.ok()) {
    log::Log log("worker");
    log.inherit(std::move(handover.log), handover.config->error_log_path, handover.config->error_log_level);
    log.write(log::Level::Emerg, "worker_start_failed",
              {{"reason", (arena.ok() ? poller.error() : arena.error()).message()}});
    return 1;
  }
  Worker worker(std::move(handover), std::move(arena).value(), std::move(poller).value());
  return worker.run();
}

}  // namespace beamgate::worker
