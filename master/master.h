// Master: the control plane.  It supervises, binds and relays; it never parses a client's byte.
//
// Owner      main(); one per process.  Everything of the master hangs below it and dies with it.
// Thread     One; no thread is ever started here, so that forks are clean.
// Signals    TERM, INT fast stop; QUIT graceful stop; HUP reload; USR1 reopen logs; USR2 binary upgrade.  A HUP or
//            USR2 that comes while connections move, or while another one is served, waits; one of each.
// Upgrade    This process executes the new binary in place (image.h); the new image adopts what the old one left and
//            replaces the workers (takeover.h), or executes the old binary again.
// Death      Its keeper (keeper/master_keeper.h) holds everything until another master is started, which goes on from
//            there (master_keeping.cc); workers serve meanwhile.
// Errors     Until it serves, any failure ends it with status 1 and a line on stderr.  After that it lives on:
//            a worker is replaced, a configuration that is wrong changes nothing.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/config/load.h"
#include "common/config/restart.h"
#include "common/log/log.h"
#include "master/bus/bus.h"
#include "master/daemon.h"
#include "master/event_loop.h"
#include "master/handover_state.h"
#include "master/image.h"
#include "master/keeper/master_keeper.h"
#include "master/listen_sockets.h"
#include "master/moves.h"
#include "master/pid_file.h"
#include "master/privileges.h"
#include "master/process_title.h"
#include "master/reload.h"
#include "master/repair.h"
#include "master/resize.h"
#include "master/shared_pages.h"
#include "master/signals.h"
#include "master/supervisor.h"
#include "master/takeover.h"
#include "master/upgrade.h"
#include "master/worker_process.h"

namespace beamgate::master {

struct MasterOptions {
  std::function<config::LoadResult()> load;  // Reads the configuration again, for a reload.
  WorkerMain worker_main;
  ProcessTitle* title = nullptr;
  Program program;  // What an upgrade looks for.
  std::string configuration_name;  // Where the configuration comes from, for people.
};

class Master final : private Bus::Observer,
                     private Supervisor::Actions,
                     private Reload::Actions,
                     private Moves::Actions,
                     private Resize::Actions,
                     private Upgrade::Actions,
                     private Takeover::Actions,
                     private Repair::Actions {
 public:
  Master(std::shared_ptr<const config::Config> config, MasterOptions options);
  ~Master() override;

  // One of these, and then serve().  False: it can't be, and the log says why.
  bool start();
  // Goes on from what another image has left.  state: the config given to the constructor is its text.
  bool take_over(const HandoverState& state, Inheritance inheritance);
  // Goes on from what another process has left that was killed.  wanted_config: what the configuration's files say
  // now; where it differs it is applied as by a reload.
  bool take_place(HandoverState state, Estate estate, std::string_view wanted_config);

  int serve();  // Until the end; the exit status.

 private:
  static constexpr const char* kProgram = "beamgate";
  // Another image is executed between two frames of every worker; when that moment doesn't come, never mind.
  static constexpr int64_t kCrossMs = 10'000;
  static constexpr int64_t kCrossAgainMs = 50;

  // Start.
  Result<void> prepare_process();
  bool begin();
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
  bool busy() const;  // With what another reload or upgrade has to wait for.
  void next_task();   // What has waited.
  void adopt_settings(const config::Config& before);
  void tell_restarts();
  UniqueFd config_text(const config::Config& config) const;
  void send_prepare(uint16_t slot) override;
  bool send_config(uint16_t slot, uint32_t generation, const config::Config& config,
                   const std::vector<ListenSockets::Borrowed>& listens);  // False: no memory, no descriptors.
  void catch_up(uint16_t slot);
  void commit_reload(const SlotSet& members) override;
  void abort_reload(const SlotSet& members, const std::string& reason) override;
  void after_reload();
  SlotSet slots_for(uint16_t columns) const;
  bool twins_are_free() const;
  void resize(uint16_t columns);
  bool serves(uint16_t slot) const override { return supervisor_.state(slot) == WorkerState::Ready; }
  uint64_t connections(uint16_t slot) const override;
  void dismiss(uint16_t slot) override { dismiss_worker(slot); }
  void resized() override;

  // Moves.
  bool can_move(uint16_t slot) const override { return serves(slot); }
  void send_move_out(uint16_t slot, const ipc::MoveOut& message, ipc::Descriptors descriptors) override;
  void send_move_in(uint16_t slot, const ipc::MoveIn& message, ipc::Descriptors descriptors) override;

  // Its own death.
  bool is_ours(pid_t pid) const;
  pid_t keeper_of(uint16_t slot) const;
  void know(uint16_t slot, pid_t pid);
  void watch_stranger(uint16_t slot, pid_t pid);
  void forget_stranger(uint16_t slot);
  HandoverState will() const;
  void start_keeper();
  void restart_keeper();
  bool keeper_exited(pid_t pid);
  void dismiss_keeper(pid_t pid);
  void changed() { will_is_stale_ = true; }
  void renew_will();
  void open_gates();

  // Upgrade.
  void upgrade();
  HandoverState leave_process() const;
  HandoverState leave() const;
  std::string state_now() override { return serialise(leave()); }
  void upgrade_checked() override { cross(monotonic_ms() + kCrossMs); }
  void upgrade_refused(const std::string& reason) override;
  void cross(int64_t until_ms);
  Error execute_image();
  void cannot_cross(const std::string& reason);
  Result<void> adopt(const HandoverState& state);
  void adopt_process(const HandoverState::Process& process);
  void adopt_history(const HandoverState& state);
  Result<void> adopt_pages(const HandoverState::Process& process);
  void return_home(const std::string& reason);
  void start_worker(uint16_t slot) override;
  void dismiss_worker(uint16_t slot) override;
  void discard_worker(uint16_t slot) override;
  bool lives(uint16_t slot) const override { return supervisor_.state(slot) != WorkerState::Exited; }
  uint64_t faults(uint16_t slot) const override;
  void taken_over() override;
  void give_back(const std::string& reason) override;

  // Repair.
  void repair_due() override { next_task(); }
  void repaired(uint16_t slot) override;
  void repair_ended() override;

  // Workers.
  Result<pid_t> spawn(uint16_t slot) override;
  WorkerPlan plan_for(uint16_t slot, uint16_t worker, UniqueFd bus, UniqueFd arena);
  void let_go();
  void tell_stop(uint16_t slot, bool graceful) override;
  void kill(uint16_t slot, pid_t child) override;
  pid_t survivor(uint16_t slot) override;
  void on_serving(uint16_t slot) override;
  void on_dead(uint16_t slot) override;

  // Bus.
  void on_ready(uint16_t slot, uint32_t generation) override;
  void on_prepared(uint16_t slot, const ipc::Prepared& prepared) override;
  void on_moved(uint16_t slot, const ipc::Moved& moved) override { moves_.on_moved(slot, moved); }
  void on_recounted() override;
  void on_bus_closed(uint16_t slot) override;
  void on_misbehaved(uint16_t slot, const char* reason) override;
  void on_conflated() override { count(metrics::Metric::MessagesDroppedConflated); }

  void tick();
  void check_system();
  void tell(log::Level level, const char* event, log::Fields fields);  // In the log and in the history.
  void count(metrics::Metric metric) { pages_->metrics_of_master().add(metric); }
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
  std::unique_ptr<MasterKeeper> keeper_;  // Null: there is none.
  bool will_is_stale_ = false;
  std::deque<ipc::RecentLines::Line> history_;  // What shared memory has of it, for the next image.
  config::RestartSettings in_force_;      // Since the start, or the upgrade: reloads don't change them.
  std::vector<std::string> warned_of_;    // What check_system() has said.
  std::vector<UniqueFd> gates_;           // Of workers that were forked in this turn (WorkerPlan::gate).
  EventLoop loop_;
  ListenSockets listens_;
  Bus bus_;
  Supervisor supervisor_;
  Reload reload_;
  Moves moves_;
  Resize resize_;
  Upgrade upgrade_;
  Takeover takeover_;
  Repair repair_;
  std::optional<EventLoop::WatchId> signal_watch_;
  std::optional<EventLoop::TimerId> tick_timer_;
  uint32_t generation_ = 1;
  uint32_t next_generation_ = 2;  // Also refused ones have a number of their own.
  uint16_t next_worker_ = 1;
  uint16_t slots_listening_ = 0;  // Columns that have sockets.
  uint64_t address_seed_ = 0;
  int64_t started_ms_ = 0;  // Unix time; what the uptime is counted from.
  bool keepers_ = false;          // Each worker has one.
  bool serving_ = false;          // All workers were ready once.
  bool stopping_ = false;
  bool stopping_fast_ = false;
  bool reload_again_ = false;     // HUP came while we were busy.
  bool upgrade_again_ = false;    // USR2 did.
  UniqueFd old_binary_;           // The one that gave us its place, until its workers are replaced.
  UniqueFd foreign_pages_;        // Its shared pages, where their layout is not ours.
  uint64_t foreign_layout_ = 0;
  std::optional<std::string> going_back_;  // Why we execute the old binary again.
  std::vector<std::function<void()>> first_;  // What serve() begins with: who is forked there has no copy of the state.
  std::optional<EventLoop::TimerId> cross_timer_;  // While we wait for the moment to execute another image.
  // Processes of slots that another master has started.
  struct Stranger {
    UniqueFd process;
    EventLoop::WatchId watch = 0;
  };
  std::map<uint16_t, Stranger> strangers_;
  std::vector<pid_t> groups_;  // Process groups of masters before.
  int exit_status_ = 0;
};

}  // namespace beamgate::master
