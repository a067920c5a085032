// Worker: one process of the data plane: its loop, its parts in the order of their making, and what the
// master tells it to do.
//
// Owner      worker_main; lives as long as the process serves.
// Thread     The loop's thread; there is no other that touches a connection.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "common/ipc/handover.h"
#include "common/uv/loop.h"
#include "common/uv/poll_watcher.h"
#include "common/uv/signal_watcher.h"
#include "common/uv/timer.h"
#include "common/uv/turn.h"
#include "worker/bus_client.h"
#include "worker/context.h"
#include "worker/hook/webhooks.h"
#include "worker/hub/hub.h"
#include "worker/layers.h"
#include "worker/life_line.h"
#include "worker/memory_ceiling.h"
#include "worker/move/moves.h"
#include "worker/net/connections.h"
#include "worker/net/listener.h"
#include "worker/net/poller.h"
#include "worker/predecessor.h"
#include "worker/proto/delivery.h"
#include "worker/record/arena.h"
#include "worker/remote_calls.h"
#include "worker/settings.h"
#include "worker/vitals.h"

namespace beamgate {

class Worker final : public BusControl {
 public:
  // inherited: null for a worker that begins with no connections.
  Worker(ipc::Handover&& handover, record::Arena&& arena, net::Poller&& poller, Inherited* inherited);
  ~Worker() override;

  int run();

  // BusControl
  void on_prepare(const ipc::Prepare& message, ipc::Descriptors& descriptors) override;
  void on_commit(uint32_t generation) override;
  void on_abort(uint32_t generation) override;
  void on_stop(bool graceful) override;
  void on_reopen_logs(ipc::Descriptors& descriptors) override;
  void on_move_out(const ipc::MoveOut& message, ipc::Descriptors& descriptors) override;
  void on_move_in(ipc::Descriptors& descriptors) override;
  void on_recount() override;
  void on_farewell_ack() override;
  void on_bus_lost() override;

 private:
  //   Serving  -- stop gracefully -------------------------> Draining
  //   Serving, Draining -- stop fast, or time is up -------> Closing   (events are still delivered)
  //   Draining -- last connection gone --------------------> Closing
  //   Closing  -- farewell answered, events delivered, or kEventsMs passed and another worker has them ---> the loop
  //               stops
  enum class State : uint8_t { Serving, Draining, Closing };

  static constexpr int64_t kEventsMs = 1'000;
  static constexpr int64_t kTellFullMs = 60'000;

  // A configuration that waits for Commit.
  struct Prepared {
    uint32_t generation = 0;
    std::shared_ptr<const config::Config> config;
    UniqueFd text;
    std::vector<ipc::InheritedListen> listens;
  };

  void adopt(Inherited& inherited);
  void say_hello();
  void report(const Inherited& inherited, const net::Connections::Adopted& adopted, int64_t began_us);
  void note_poison(int32_t death);
  bool is_to_blame(const Inherited& inherited);
  void bequeath();

  void end_turn();
  void tick();
  void listen(std::vector<ipc::InheritedListen>&& sockets);
  void take_accepted(Accepted&& accepted);
  void apply_limits();
  void follow_log_level();
  void tell_full();
  void tell_refusals();
  void tell_vitals();
  void on_moved(const ipc::Moved& message);
  void drain();
  void close_everything();
  void finish_events();
  void leave_events();
  std::string take_events(std::string_view body);
  void finish();

  std::unique_ptr<ipc::Life> no_life_;  // Where there is no keeper.
  ipc::Life& life_;
  LifeLine life_line_;
  uv::Loop loop_;
  log::Log log_;
  ipc::AddressTable* const addresses_;
  ipc::AddressTable* const counted_keys_;
  const uint64_t address_seed_;
  metrics::Page& metrics_;
  Settings settings_;
  record::Arena arena_;
  net::Poller poller_;
  net::Connections connections_;
  BusClient bus_;
  RemoteCalls remote_;
  proto::Delivery delivery_;
  hub::Hub hub_;
  std::unique_ptr<hook::Webhooks> webhooks_;
  Context context_;
  std::unique_ptr<Layers> layers_;
  move::Moves moves_;
  std::optional<uint32_t> emptied_by_;  // The move that takes everything away: nothing new is accepted.
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  MemoryCeiling memory_{arena_, log_};
  Vitals vitals_{metrics_};
  std::unique_ptr<uv::PollWatcher> poller_watcher_;
  uv::BeforePoll before_poll_;
  uv::Idle more_work_;
  uv::Timer next_round_;
  uv::Timer ticker_;
  uv::Timer farewell_timer_;
  uv::SignalWatcher terminate_;
  uv::SignalWatcher quit_;
  State state_ = State::Serving;
  int64_t drain_until_ms_ = 0;
  uint64_t full_pauses_;  // Of accepting, for want of room, as far as they were told.
  int64_t tell_full_from_ms_ = 0;
  int64_t close_until_ms_ = 0;
  uint32_t generation_;
  UniqueFd config_text_;  // What the configuration in force was parsed from; invalid: it came with the fork.
  std::optional<Prepared> prepared_;
};

}  // namespace beamgate
