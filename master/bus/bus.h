// Bus: relays between the workers and sequences what they publish.
//
// Owner      Master; the EventLoop outlives it.
// Lifetime   A port from attach() until its worker hangs up, misbehaves or is detached.
// Thread     The master's only thread.
// Limits     See Port, ChannelTable, IdempotencyTable, CallTable.  kInterestsMax channels per worker.
// Errors     A frame that is not what messages.h describes ends that worker (Observer::on_misbehaved), never
//            the master.  No length, count or name from a worker is trusted.
// Order      Frames of one worker are handled in their order; everything a turn has produced is written at the
//            turn's end, with as few system calls as it takes.  Acknowledgements come last: what a publisher was told
//            to be published does not die with the master, unless a worker lets its bus fill up.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/segments.h"
#include "common/ipc/channel.h"
#include "common/log/log.h"
#include "master/bus/call_table.h"
#include "master/bus/port.h"
#include "master/bus/recount.h"
#include "master/event_loop.h"
#include "master/handover_state.h"
#include "master/hub/channel_table.h"
#include "master/hub/idempotency_table.h"
#include "master/hub/occupancy.h"
#include "master/hub/presence_journal.h"
#include "master/hub/presence_table.h"

namespace beamgate::master {

class Bus {
 public:
  static constexpr size_t kInterestsMax = 4'000'000;

  // Called while a worker's frames are handled: an observer may send on the bus, and must not detach().
  class Observer {
   public:
    virtual ~Observer() = default;
    virtual void on_ready(uint16_t slot, uint32_t generation) = 0;
    virtual void on_prepared(uint16_t slot, const ipc::Prepared& prepared) = 0;
    virtual void on_moved(uint16_t slot, const ipc::Moved& moved) = 0;
    virtual void on_recounted() = 0;  // Once, after recount().
    virtual void on_bus_closed(uint16_t slot) = 0;
    virtual void on_misbehaved(uint16_t slot, const char* reason) = 0;
    virtual void on_conflated() {}  // A publication gives way to a newer one.
  };

  Bus(EventLoop& loop, log::Log& log, Observer& observer);
  ~Bus();

  // What holds from now on for the bus and its channels.
  void follow(std::shared_ptr<const config::Config> config);
  void let_go() { config_.reset(); }  // Of the configuration; nothing else is called any more.

  // REQUIRES: the slot has no port.
  Result<void> attach(uint16_t slot, uint16_t worker, UniqueFd socket);
  // The worker is dead: its interests and calls go.  Idempotent.
  void detach(uint16_t slot);

  // Nothing happens when the slot has no port any more: its end is on its way.
  template <typename Message>
  void send(uint16_t slot, const Message& message, ipc::Descriptors descriptors = {}) {
    Port* port = ports_[slot].get();
    if (port == nullptr) return;
    port->send(message, std::move(descriptors));
    mark(*port);
  }

  // Tells the worker to go; from now on others are preferred for what has time.
  void stop(uint16_t slot, bool graceful);

  // The gateway ends: who leaves from now on does not come back.
  void expect_end() { ending_ = true; }
  // Changes of who is there that an application was to be told of, and that no worker is there to tell.
  uint64_t untold();

  void flush();                 // At the end of a turn.
  void expire(int64_t now_ms);  // Every now and then: what has a time limit.

  // For a handover (bus_handover.cc).  Writes what waits and reads frames that were cut, for this long at most; true
  // when every port is between two frames with nothing queued: then all the rest lies in the sockets.
  bool settle(int64_t within_ms);
  void leave(HandoverState& state) const;  // Fills the slots' bus fields; the state borrows.
  void leave_ports(HandoverState& state) const;  // These alone: what survives a sudden death.
  Result<void> adopt(const HandoverState& state);

  // After adopt() of what leave_ports() has left (bus_recount.cc): asks the workers for everything else, and relays
  // again when all have answered, or after kRecountMs.
  static constexpr int64_t kRecountMs = 5'000;
  void recount();
  bool recounting() const { return recount_ != nullptr; }

  const ChannelTable& channels() const { return channels_; }
  size_t queued_bytes(uint16_t slot) const { return ports_[slot] ? ports_[slot]->channel().queued_bytes() : 0; }
  uint64_t dropped(uint16_t slot) const { return ports_[slot] ? ports_[slot]->dropped() : 0; }

 private:
  void on_port_ready(uint16_t slot, EventLoop::Ready ready);
  void receive(uint16_t slot, int packets_max);
  bool settled(const Port& port) const;
  void close(uint16_t slot);
  void end(uint16_t slot, const char* reason);
  void mark(Port& port);
  void unmark(uint16_t slot);
  void write_dirty();

  static bool valid_name(std::string_view name);

  // Each is false when the message is not acceptable.
  bool handle(Port& port, const ipc::Frame& frame);
  bool on_hello(Port& port, const ipc::Hello& hello);
  bool on_interest(Port& port, const ipc::Interest& interest);
  bool on_withdraw(Port& port, const ipc::Withdraw& withdraw);
  bool on_publish(Port& port, const ipc::Publish& publish);
  bool on_call(Port& port, const ipc::Call& call);
  bool on_reply(Port& port, const ipc::Reply& reply);

  // bus_channels.cc
  bool on_join(Port& port, const ipc::Join& join);
  bool on_leave(Port& port, const ipc::Leave& leave);
  bool on_joined_all(Port& port);
  bool on_ask(Port& port, const ipc::Ask& ask);
  bool on_ask_users(Port& port, const ipc::AskUsers& ask);
  void on_user_change(const PresenceTable::UserChange& change);
  bool on_farewell(Port& port);
  void answer_farewells();
  std::vector<Port*> tellers();
  void tell_users();
  bool is_told(const ipc::UserChange& change);
  bool is_watched(const ipc::UserChange& change) const;
  // bus_occupancy.cc
  bool apps_want(uint32_t events) const;  // config::AppEvent
  void on_occupancy(std::string_view channel, bool occupied);
  void expire_occupancy();
  void tell_occupancy();
  void answer_state(Port& port, const ipc::Ask& ask);
  const config::ChannelRules& rules_of(std::string_view name, HubChannel& channel);
  PresenceTable::Rules presence_rules_of(std::string_view name);
  struct Retention {
    uint32_t count = 0;
    int64_t ttl_ms = 0;
  };
  Retention retention_of(std::string_view name, HubChannel& channel);
  void keep(std::string_view name, HubChannel& channel, const ipc::Publish& publish);
  void adopt_history(const HandoverState& state);
  void conflate(Port& port, HubChannel& channel, const ipc::Publish& publish, int64_t conflate_ms);
  void deliver_conflated(std::string_view name);
  void deliver_all_conflated();
  void tell_presence(const PresenceTable::Changes& changes);
  void tell_all_presence();
  void tell_lists();
  bool is_presence_channel(std::string_view name) const;
  void expire_presence();

  bool on_known(Port& port, const ipc::Known& known);
  bool on_known_all(Port& port, const ipc::KnownAll& known);
  bool learn(Port& port, const Recount::Account& account);
  bool settle_account(Port& port, const Recount::Account& account);
  void look_at_recount();
  void finish_recount();

  void relay(Port* publisher, HubChannel& channel, const ipc::Publish& publish);
  uint64_t open_receipt(Port& publisher, const ipc::Publish& publish, const SlotSet& targets);
  void refuse_receipt(Port& publisher, const ipc::Publish& publish);
  void answer_for(uint64_t call, uint16_t slot);
  void note_pattern(std::string_view name);
  void note_patterns();
  bool is_wanted_pattern(std::string_view name);
  void add_pattern_interest(std::string_view name, SlotSet& slots);
  void acknowledge(const Port& port, uint64_t ticket, uint64_t offset, std::string_view epoch);
  void send_acknowledgements();
  SlotSet targets_of(const Port& asker, const ipc::Call& call) const;
  const Port* heir_of(const Port& asker) const;
  void answer(const CallTable::Due& due, uint16_t from_slot, bool answered, std::string_view body);
  void refuse_call(Port& port, const ipc::Call& call);

  EventLoop& loop_;
  log::Log& log_;
  Observer& observer_;
  size_t queue_bytes_ = 64 << 20;
  struct Acknowledgement {
    uint16_t slot = 0;
    uint16_t worker = 0;
    uint64_t ticket = 0;
    uint64_t offset = 0;
    std::string epoch;
  };

  std::array<std::unique_ptr<Port>, ipc::kSlotsMax> ports_;
  std::array<EventLoop::WatchId, ipc::kSlotsMax> watches_{};
  std::array<size_t, ipc::kSlotsMax> interests_{};
  std::array<uint16_t, ipc::kSlotsMax> worker_of_{};  // Of the slot's last worker; answers name it.
  std::vector<uint16_t> dirty_;                        // Slots whose ports have something to write.
  std::vector<Acknowledgement> acknowledgements_;      // Of this turn's publications.
  std::shared_ptr<const config::Config> config_;
  uint64_t config_generation_ = 0;
  ChannelTable channels_;
  HistoryStore no_history_;  // Of channels that keep nothing.
  PresenceTable presence_;
  PatternSet patterns_;  // Channels whose subscribers want what is published in others.
  PresenceJournal journal_;
  std::map<std::string, EventLoop::TimerId, std::less<>> conflating_;  // By channel.
  bool ending_ = false;
  bool farewells_ = false;  // There is one that is not answered.
  uint64_t told_ = 0;  // Sequence number of the last change that an application was to be told of.
  std::optional<EventLoop::TimerId> presence_timer_;
  Occupancy occupancy_;
  std::optional<EventLoop::TimerId> occupancy_timer_;
  IdempotencyTable idempotency_;
  CallTable calls_;
  std::unique_ptr<Recount> recount_;  // Null: none runs.
  std::optional<EventLoop::TimerId> recount_timer_;
  std::string deliver_;  // The Deliver being relayed, encoded once for all its receivers.
};

}  // namespace beamgate::master
