// Hub: this worker's part of PubSub: channels, who is subscribed here, and the way to the master's sequencer.
//
// Owner      One per worker.  It sees subscribers (ConnIds) and payloads, never a socket or a protocol:
//            deliveries go to a Deliverer, which encodes once per protocol.
// Thread     Worker loop thread only.
// Order      One total order per channel, made by the master.  subscribe() is complete when the master has
//            confirmed the worker's interest: every publication accepted afterwards is delivered here.
// State      What must survive is in the record: Record::subscriptions, an array of Subscription in the arena
//            that names the channel; the arrays here are an index over it.
// Limits     kSubscriptionsMax per connection; channel names 1 to 255 bytes of UTF-8 without control bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/result.h"
#include "common/ipc/messages.h"
#include "common/metrics/metrics.h"
#include "worker/hub/replay.h"
#include "worker/record/record.h"

namespace beamgate::hub {

// The way to the master; implemented by worker/bus_client.h.
class Bus {
 public:
  virtual ~Bus() = default;
  virtual void send_interest(std::string_view channel) = 0;
  virtual void send_withdraw(std::string_view channel) = 0;
  // False when the queue to the master is full; nothing was queued.
  [[nodiscard]] virtual bool send_publish(const ipc::Publish& message) = 0;
  virtual void send_known(const ipc::Known& message) = 0;
};

struct Publication {
  std::string_view channel;
  std::string_view epoch;
  uint64_t offset = 0;
  ipc::PayloadKind kind = ipc::PayloadKind::Text;
  std::string_view payload;
  uint64_t except = 0;  // uid of a connection that doesn't get it.
};

class Deliverer {
 public:
  virtual ~Deliverer() = default;
  // Hands one publication to every subscriber, from the last to the first: the connection it is at may be
  // closed meanwhile, no other may.
  virtual void deliver(const Publication& publication, std::span<const uint32_t> slots) = 0;
  // This worker missed the channel's publications up to `offset` (Gap).  Same rule.
  virtual void deliver_gap(std::string_view channel, uint64_t offset, std::span<const uint32_t> slots) = 0;
};

// What the master says about an accepted publication.
struct PublishReceipt {
  bool accepted = false;  // False: the bus was full or went away.
  std::string_view epoch;
  uint64_t offset = 0;
};

struct PublishOptions {
  ipc::PayloadKind kind = ipc::PayloadKind::Text;
  uint64_t except = 0;
  std::string_view idempotency_key;
};

enum class Subscribed : uint8_t {
  Now,      // Already a subscriber, or the interest was confirmed before.
  Pending,  // on_subscribed will be called.
};

class Hub {
 public:
  static constexpr uint32_t kSubscriptionsMax = 1024;

  using OnPublished = std::function<void(const PublishReceipt&)>;
  // Told when a Pending subscription is complete; not when the connection has gone meanwhile.
  using OnSubscribed = std::function<void(record::ConnId, std::string_view channel)>;

  Hub(record::Arena& arena, Bus& bus, Deliverer& deliverer, metrics::Page& metrics);
  ~Hub();

  void set_on_subscribed(OnSubscribed on_subscribed) { on_subscribed_ = std::move(on_subscribed); }
  // Told when publish() has room again after it said false.
  void add_on_room(std::function<void()> on_room) { on_room_.push_back(std::move(on_room)); }

  // Invalid: not a channel name.  LimitReached: kSubscriptionsMax, or the arena is full.
  Result<Subscribed> subscribe(record::Record& record, std::string_view channel);
  bool unsubscribe(record::Record& record, std::string_view channel);  // False: was not subscribed.
  void unsubscribe_all(record::Record& record);
  bool is_subscribed(const record::Record& record, std::string_view channel) const;
  // True when every subscription of the record is confirmed.
  bool all_confirmed(const record::Record& record) const;
  // Names of the record's channels.
  std::vector<std::string_view> channels_of(const record::Record& record) const;

  // Copies the subscriptions of a record in a dead worker's arena.  False: they are damaged, or the arena is full.
  bool copy_from(const record::Arena& from, const record::Record& old, record::Record& record);

  // Hands a publication to the master.  `done` may be empty; it is called once, later, from the bus.
  // False (and `done` is not called): the bus is full; the caller slows its source down.
  [[nodiscard]] bool publish(std::string_view channel, std::string_view payload, const PublishOptions& options,
                             OnPublished done = {});

  // Local channels with their local subscriber counts; names starting with `prefix`.
  void for_each_channel(std::string_view prefix,
                        const std::function<void(std::string_view name, size_t subscribers)>& visit) const;
  size_t local_subscribers(std::string_view channel) const;

  // --- Moving (hub_moving.cc): subscribers that come from another worker.
  // What a subscriber has got of a channel.
  struct Position {
    std::string_view channel;
    std::string_view epoch;
    uint64_t offset = 0;  // Of the newest publication that was delivered to it.
  };
  std::vector<Position> positions_of(const record::Record& record) const;
  // Takes interest in the channel, subscribers or not, and remembers what is published from the confirmation on,
  // until as many release() calls.  False: not a channel name, or the arena is full.
  bool hold(std::string_view channel);
  void release(std::string_view channel);
  // The newest offset of a channel; nothing while it is not confirmed.
  std::optional<uint64_t> offset_of(std::string_view channel) const;
  // Subscribes it where another worker left off: publications it lacks are delivered now, those that it is ahead
  // of are left out when they come.  False: what it lacks is not known here (or a limit stands in the way), and
  // then its subscriptions are to be dropped.
  bool arrive(record::Record& record, std::span<const Position> positions);

  // From the bus.
  void on_interest_ack(const ipc::InterestAck& message);
  void on_deliver(const ipc::Deliver& message);
  void on_gap(const ipc::Gap& message);
  void on_missed(const ipc::Missed& message);
  void on_publish_ack(const ipc::PublishAck& message);
  void on_room();
  void on_bus_lost();  // Fails every publication that waits.
  void on_recount();   // Tells a new master every channel.
  void on_recounted();  // Fails the publications that the old one has taken with it.

  static bool valid_channel(std::string_view name);

 private:
  struct Channel;
  struct ChannelBlock;
  struct Subscription;

  Channel* open_channel(std::string_view name);
  Channel* add_channel(std::string_view name);
  void close_if_unused(Channel& channel);
  Channel* find_channel(std::string_view name) const;
  Channel& channel_of(const Subscription& subscription) const;
  ChannelBlock& block_of(const Channel& channel) const;
  std::span<Subscription> subscriptions_of(const record::Record& record) const;
  Subscription* find_subscription(const record::Record& record, std::string_view channel) const;
  bool grow_subscriptions(record::Record& record);
  bool enter_channel(record::Record& record, Channel& channel, uint64_t after);
  bool arrive_at(record::Record& record, const Position& position);
  void catch_up(record::Record& record);
  void deliver_to_those_behind(const Publication& publication, Channel& channel);
  std::vector<uint32_t> slots_behind(Channel& channel, uint64_t offset);
  void keep(Channel& channel, const ipc::Deliver& message);
  void leave_channel(record::Record& record, Subscription& subscription);
  uint32_t slot_of(const record::Record& record) const;

  record::Arena& arena_;
  Bus& bus_;
  Deliverer& deliverer_;
  metrics::Page& metrics_;
  OnSubscribed on_subscribed_;
  std::vector<std::function<void()>> on_room_;
  std::unordered_map<std::string_view, Channel*> by_name_;  // Keys point into the channel's block.
  std::vector<std::unique_ptr<Channel>> channels_;          // By index; null where free.
  std::vector<uint32_t> free_indices_;
  std::unordered_map<uint64_t, OnPublished> waiting_;
  uint64_t next_ticket_;  // Begins anywhere: answers to a predecessor's tickets must find nobody.
  uint64_t recount_ticket_ = 0;  // The first one after the last Recount.
  Replay replay_;
  uint64_t holds_ = 0;      // How many hold() calls are not released.
  uint64_t next_hold_ = 1;
  bool refused_ = false;  // publish() said false; somebody waits for room.
};

}  // namespace beamgate::hub
