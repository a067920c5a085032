// Bus client: the worker's end of the bus.
//
// Owner      Worker; hub and remote calls go through it, control messages to a BusControl.
// Thread     Worker loop thread only.
// Limits     kQueueBytesMax queued to the master: publications above it are refused and their source slows
//            down; control messages and interests are few and always queued.
// Without    a master (it was killed) frames wait: the bus stays open, since the master's keeper holds its other end.
// Errors     When the bus breaks, on_bus_lost() is called once and everything sent later is dropped.
#pragma once

#include <memory>

#include "common/ipc/life.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "common/uv/poll_watcher.h"
#include "worker/bus_inbox.h"
#include "worker/bus_outbox.h"
#include "worker/hub/hub.h"
#include "worker/remote_calls.h"

namespace beamgate {

// What the master tells a worker to do.
class BusControl {
 public:
  virtual ~BusControl() = default;
  virtual void on_prepare(const ipc::Prepare& message, ipc::Descriptors& descriptors) = 0;
  virtual void on_commit(uint32_t generation) = 0;
  virtual void on_abort(uint32_t generation) = 0;
  virtual void on_stop(bool graceful) = 0;
  virtual void on_reopen_logs(ipc::Descriptors& descriptors) = 0;
  virtual void on_move_out(const ipc::MoveOut& message, ipc::Descriptors& descriptors) = 0;
  virtual void on_move_in(ipc::Descriptors& descriptors) = 0;
  // Another master is there: forgets what the one before was about to do, and sends KnownAll.
  virtual void on_recount() = 0;
  virtual void on_farewell_ack() = 0;
  virtual void on_bus_lost() = 0;
};

class BusClient final : public hub::Bus, public RemoteCalls::Sender {
 public:
  static constexpr size_t kQueueBytesMax = 8 << 20;

  BusClient(uv::Loop& loop, record::Arena& arena, UniqueFd socket, ipc::Life& life, metrics::Page& metrics,
            log::Log& log, BusControl& control);
  ~BusClient() override;

  // Frames are handled from here on.
  void start(hub::Hub& hub, RemoteCalls& remote);

  // What a dead predecessor had not sent goes out first.  False: what it left is damaged.
  bool adopt(const record::Arena& from);

  bool lost() const { return lost_; }
  size_t queued_bytes() const { return outbox_.bytes(); }

  // Part of the step that is open; leaves at the end of the turn.
  template <typename Message>
  void send(const Message& message) {
    if (lost_) return;
    if (!outbox_.append(message)) return lose();
    metrics_.add(metrics::Metric::BusFramesSent);
  }

  // hub::Bus
  void send_interest(std::string_view channel) override { send(ipc::Interest{channel}); }
  void send_withdraw(std::string_view channel) override { send(ipc::Withdraw{channel}); }
  bool send_publish(const ipc::Publish& message) override;
  void send_known(const ipc::Known& message) override { send(message); }
  void send_join(const ipc::Join& message) override { send(message); }
  void send_leave(const ipc::Leave& message) override { send(message); }
  void send_ask(const ipc::Ask& message) override { send(message); }
  void send_ask_users(const ipc::AskUsers& message) override { send(message); }

  // RemoteCalls::Sender
  bool send_call(const ipc::Call& message) override;
  void send_reply(const ipc::Reply& message) override { send(message); }

  // Writes what is queued; before the loop waits.
  void end_turn();

 private:
  void on_ready(uv::PollWatcher::Ready ready);
  bool on_frame(const ipc::Frame& frame);
  void on_recount();
  bool is_poison() const;
  // An empty queue takes any, or what is larger would wait for ever.
  bool room_for(size_t bytes) const {
    return !lost_ && (outbox_.empty() || outbox_.bytes() + bytes <= kQueueBytesMax);
  }
  void lose();

  UniqueFd socket_;
  BusOutbox outbox_;
  BusInbox inbox_;
  ipc::Life& life_;
  metrics::Page& metrics_;
  log::Log& log_;
  BusControl& control_;
  hub::Hub* hub_ = nullptr;
  RemoteCalls* remote_ = nullptr;
  std::unique_ptr<uv::PollWatcher> watcher_;
  bool full_ = false;  // A publication was refused since there was last room.
  bool lost_ = false;
};

}  // namespace beamgate
