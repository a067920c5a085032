// Master: the control plane.  It supervises, binds and relays; it never parses a client's byte.
//
// Owner      main(); one per process.  Everything of the master hangs below it and dies with it.
// Thread     One; no thread is ever started here, so that forks are clean.
// Signals    TERM, INT fast stop; QUIT graceful stop; HUP reload; USR1 reopen logs; USR2 binary upgrade, which
//            this version answers in the log only.
// Errors     Until it serves, any failure ends it with status 1 and a line on stderr.  After that it lives on:
//            a worker is replaced, a configuration that is wrong changes nothing.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/config/load.h"
#include "common/log/log.h"
#include "master/bus/bus.h"
#include "master/daemon.h"
#include "master/event_loop.h"
#include "master/listen_sockets.h"
#include "master/pid_file.h"
#include "master/privileges.h"
#include "master/process_title.h"
#include "master/reload.h"
#include "master/shared_pages.h"
#include "master/signals.h"
#include "master/supervisor.h"
#include "master/worker_process.h"

namespace beamgate::master {

struct MasterOptions {
  std::function<config::LoadResult()> load;  // Reads the configuration again, for a reload.
  WorkerMain worker_main;
  ProcessTitle* title = nullptr;
};

class Master final : private Bus::Observer, private Supervisor::Actions, private Reload::Actions {
 public:
  Master(std::shared_ptr<const config::Config> config, MasterOptions options);
  ~Master() override;

  int run();  // The exit status.

 private:
  // Start.
  Result<void> prepare_process();
  bool start();
  bool fail(const char* event, const std::string& what, const Error& error);
  void began_to_serve();

  // Signals.
  void on_signals();
  void on_signal(int number);
  void reap();
  void stop(bool graceful);
  void end_if_done();
  void reopen_logs();
  void provide_access_logs();
  void send_error_log();

  // Reload.
  void reload();
  void adopt_settings(const config::Config& before);
  UniqueFd config_text(const config::Config& config) const;
  void send_prepare(uint16_t slot) override;
  void commit_reload(const SlotSet& members) override;
  void abort_reload(const SlotSet& members, const std::string& reason) override;
  void after_reload();

  // Workers.
  Result<pid_t> spawn(uint16_t slot) override;
  WorkerPlan plan_for(uint16_t slot, uint16_t worker, UniqueFd bus, UniqueFd arena);
  void tell_stop(uint16_t slot, bool graceful) override;
  void kill(uint16_t slot, pid_t child) override;
  pid_t survivor(uint16_t slot) override;
  void on_serving(uint16_t slot) override;
  void on_dead(uint16_t slot) override;

  // Bus.
  void on_ready(uint16_t slot, uint32_t generation) override;
  void on_prepared(uint16_t slot, const ipc::Prepared& prepared) override;
  void on_bus_closed(uint16_t slot) override;
  void on_misbehaved(uint16_t slot, const char* reason) override;

  void tick();
  uint16_t slots_wanted(const config::Config& config) const;

  std::shared_ptr<const config::Config> config_;
  std::shared_ptr<const config::Config> next_config_;  // While a reload runs.
  const MasterOptions options_;
  log::Log log_;
  Daemon daemon_;
  Identity identity_;
  std::unique_ptr<PidFile> pid_file_;
  std::unique_ptr<SharedPages> pages_;
  std::unique_ptr<Signals> signals_;
  EventLoop loop_;
  ListenSockets listens_;
  Bus bus_;
  Supervisor supervisor_;
  Reload reload_;
  std::optional<EventLoop::WatchId> signal_watch_;
  std::optional<EventLoop::TimerId> tick_timer_;
  uint32_t generation_ = 1;
  uint32_t next_generation_ = 2;  // Also refused ones have a number of their own.
  uint16_t next_worker_ = 1;
  uint16_t slots_listening_ = 0;  // Slots that have sockets.
  uint64_t address_seed_ = 0;
  int64_t started_ms_ = 0;  // Unix time; what the uptime is counted from.
  bool keepers_ = false;          // Each worker has one.
  bool serving_ = false;          // All workers were ready once.
  bool stopping_ = false;
  bool stopping_fast_ = false;
  bool reload_again_ = false;     // HUP came while one was running.
  int exit_status_ = 0;
};

}  // namespace beamgate::master
