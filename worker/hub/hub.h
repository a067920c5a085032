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
#include "common/base/segments.h"
#include "common/config/channel_rules.h"
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
  virtual void send_join(const ipc::Join& message) = 0;
  virtual void send_leave(const ipc::Leave& message) = 0;
  virtual void send_ask(const ipc::Ask& message) = 0;
  virtual void send_ask_users(const ipc::AskUsers& message) = 0;
};

struct Publication {
  std::string_view channel;
  std::string_view epoch;
  uint64_t offset = 0;
  ipc::PayloadKind kind = ipc::PayloadKind::Text;
  std::string_view payload;
  uint64_t except = 0;  // uid of a connection that doesn't get it.
  ipc::Origin origin;
  std::string_view source;  // The channel that it was published in, where `channel` is a pattern: the epoch is the
                            // pattern's then, and the offset none.
  uint8_t flags = 0;        // ipc::DeliverFlag
};

class Deliverer {
 public:
  virtual ~Deliverer() = default;
  // Hands one publication to every subscriber, from the last to the first: the connection it is at may be
  // closed meanwhile, no other may.
  virtual void deliver(const Publication& publication, std::span<const uint32_t> slots) = 0;
  // This worker missed the channel's publications up to `offset` (Gap).  Same rule.
  virtual void deliver_gap(std::string_view channel, uint64_t offset, std::span<const uint32_t> slots) = 0;
  // Members of the channel have come or gone.  Same rule.
  virtual void deliver_presence(const ipc::PresenceChange& change, std::span<const uint32_t> slots) = 0;
  // What join() has begun is done: it is a subscriber, and gets what is published behind state.offset.  `tag` as
  // join() was given it.  answered false: it is not; its subscription is gone.  The connection may be closed here.
  virtual void joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state) = 0;
  // What is delivered until end_receipt() is one publication, and its publisher wants to know what becomes of it: this
  // call of the bus is answered with an ipc::Receipt, after acknowledge_ms at most.
  virtual void begin_receipt(uint64_t call, uint32_t acknowledge_ms) { static_cast<void>(call), static_cast<void>(acknowledge_ms); }
  virtual void end_receipt() {}
};

// How many subscribers a channel may have.  `here` are this worker's, those who are joining included.
class SubscriberLimit {
 public:
  virtual ~SubscriberLimit() = default;
  // Whether one more may come; then it is counted, and count() is called once it is a subscriber or wasn't made one.
  virtual bool admit(std::string_view channel, size_t here) = 0;
  virtual void count(std::string_view channel, size_t here) = 0;
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
  ipc::Origin origin;
  uint8_t flags = 0;  // ipc::PublishFlag
  std::string_view idempotency_key;
  uint64_t receipt_ticket = 0;  // Of Remote::expect(): its answers are the workers' ipc::Receipts; 0: none are wanted.
  uint32_t acknowledge_ms = 0;  // They wait so long for clients to acknowledge it.
};

// How a protocol's client subscribes.  Texts are copied.
struct JoinOptions {
  std::string_view tag;               // The protocol's own, kept with the subscription, over moves and deaths.
  bool member = false;                // It is present in the channel,
  std::string_view user;              // as this user,
  std::string_view info;              // with this to say of itself (JSON, or empty).
  uint8_t wants = 0;                  // ipc::StateFlag
  std::string_view epoch;             // For kStateRecover: what the client has got.
  uint64_t after = 0;
  uint32_t publications_max = 0;
  uint32_t members_max = 0;
};

// Where publications for a user go, whatever its connections speak.
using config::kUserChannelPrefix;
inline std::string user_channel(std::string_view user) { return std::string(kUserChannelPrefix).append(user); }

enum class Subscribed : uint8_t {
  Now,      // Already a subscriber, or the interest was confirmed before.
  Pending,  // on_subscribed will be called.
};

class Hub {
 public:
  static constexpr uint32_t kSubscriptionsMax = 1024;

  using OnPublished = std::function<void(const PublishReceipt&)>;
  using OnUsers = std::function<void(const ipc::UsersState&)>;
  using OnChannelChange = std::function<void(const ipc::ChannelChange&)>;
  using OnUserChange = std::function<void(const ipc::UserChange&)>;
  using OnState = std::function<void(const ipc::ChannelState&)>;
  // Told when a Pending subscription is complete; not when the connection has gone meanwhile.
  using OnSubscribed = std::function<void(record::ConnId, std::string_view channel)>;

  Hub(record::Arena& arena, Bus& bus, Deliverer& deliverer, metrics::Page& metrics);
  ~Hub();

  void set_on_subscribed(OnSubscribed on_subscribed) { on_subscribed_ = std::move(on_subscribed); }
  // Told of the changes that this worker is to tell an application.
  void set_on_user_change(OnUserChange on_user_change) { on_user_change_ = std::move(on_user_change); }
  // Whether the subscribers of a channel of this name get what is published in the channels that fit it (segments.h).
  void set_is_pattern(std::function<bool(std::string_view)> is_pattern) { is_pattern_ = std::move(is_pattern); }
  // Such a name, with a wildcard in it.  Its own epoch and offset say nothing of what is published in the channels that
  // fit: whoever wants to go on from a place in it (kStateRecover) is told that it can't.
  bool is_pattern(std::string_view name) const;
  // Asked about every new subscription that is not one of a dead or another worker's; null: nobody is.
  void set_limit(SubscriberLimit* limit) { limit_ = limit; }
  // Told when publish() has room again after it said false.
  void add_on_room(std::function<void()> on_room) { on_room_.push_back(std::move(on_room)); }

  // Invalid: not a channel name.  LimitReached: kSubscriptionsMax, the channel's SubscriberLimit, or the arena is full.
  Result<Subscribed> subscribe(record::Record& record, std::string_view channel);
  // As subscribe(), but Deliverer::joined() is called once it is done, which may be before this returns; a successor or
  // the destination of a move calls it where this worker couldn't.  Until then nothing is delivered.
  // REQUIRES: not subscribed.
  Result<void> join(record::Record& record, std::string_view channel, const JoinOptions& options);
  // What a subscriber says of itself from now on.  False: it is not a member.
  bool update_member(record::Record& record, std::string_view channel, std::string_view info);
  // The protocol's own text, as join() was given it or set_tag() has put in its place; empty when there is none.
  std::string_view tag_of(const record::Record& record, std::string_view channel) const;
  bool set_tag(record::Record& record, std::string_view channel, std::string_view tag);  // False: no memory.
  // join() is not done yet.
  bool is_joining(const record::Record& record, std::string_view channel) const;
  // Its info, while it is a member.
  std::optional<std::string_view> member_info(const record::Record& record, std::string_view channel) const;
  // A question about a channel, subscribed or not; done runs once, later.
  void ask(const ipc::Ask& question, OnState done);  // The ticket is set here.
  void set_on_channel_change(OnChannelChange on_change) { on_channel_change_ = std::move(on_change); }
  void ask_users(const ipc::AskUsers& question, OnUsers done);
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

  // Delivers to the connection, a member of its user's channel, what was kept there for the user, in its order; it is
  // kept no longer then.  What comes meanwhile may overtake it.
  void fetch_kept(record::Record& record, std::string_view channel);

  // This worker has got the connection, from a dead one or by a move: the master is told what it is a member of, what
  // join() had begun is begun again, and the members are told where that is owed.  True: the master was told something.
  bool tell_members(record::Record& record, bool quiet = false);
  void tell_all_members(bool quiet);
  // Another worker has got it: what it is a member of is that one's to tell.
  void forget_members(record::Record& record);

  // Local channels with their local subscriber counts; names starting with `prefix`.
  void for_each_channel(std::string_view prefix,
                        const std::function<void(std::string_view name, size_t subscribers)>& visit) const;
  size_t local_subscribers(std::string_view channel) const;
  void recount() const;  // SubscriberLimit::count() for every channel.
  // Everybody that is_subscribed() to it, who is only joining included, in slot order.
  std::vector<record::ConnId> subscribers_of(std::string_view channel) const;
  // From the last to the first: the one that is visited may be closed meanwhile, no other may.
  void for_each_subscriber(std::string_view channel, const std::function<void(record::Record&)>& visit);

  // --- Moving (hub_moving.cc): subscribers that come from another worker.
  // What a subscriber has got of a channel.
  struct Position {
    std::string_view channel;
    std::string_view epoch;
    uint64_t offset = 0;  // Of the newest publication that was delivered to it.
    std::optional<uint64_t> presence;  // The newest change of members that it was told; nothing: that isn't known, and
                                       // it is told all of them once it has arrived.
    std::string_view note;  // What the subscription is beside that (Note, hub_parts.h).
  };
  std::vector<Position> positions_of(const record::Record& record) const;
  // Takes interest in the channel, subscribers or not, and remembers what is published and who comes and goes from the
  // confirmation on, until as many release() calls.  False: not a channel name, or the arena is full.
  bool hold(std::string_view channel);
  void release(std::string_view channel);
  // Where a channel is here; nothing while it is not confirmed.
  std::optional<ipc::Place> place_of(std::string_view channel) const;
  // Subscribes it where another worker left off: publications and changes of members it lacks are delivered now, those
  // that it is ahead of are left out when they come.  False: what it lacks is not known here (or a limit stands in the way), and
  // then its subscriptions are to be dropped.
  bool arrive(record::Record& record, std::span<const Position> positions);

  // From the bus.
  void on_interest_ack(const ipc::InterestAck& message);
  void on_deliver(const ipc::Deliver& message);
  void on_gap(const ipc::Gap& message);
  void on_missed(const ipc::Missed& message);
  void on_publish_ack(const ipc::PublishAck& message);
  void on_channel_state(const ipc::ChannelState& message);
  void on_presence_change(const ipc::PresenceChange& message);
  void on_user_change(const ipc::UserChange& message) {
    if (on_user_change_) on_user_change_(message);
  }
  void on_channel_change(const ipc::ChannelChange& message) {
    if (on_channel_change_) on_channel_change_(message);
  }
  void on_users_state(const ipc::UsersState& message);
  void on_room();
  void on_bus_lost();  // Fails every publication that waits.
  void on_recount();   // Tells a new master every channel.
  void on_recounted();  // Fails the publications that the old one has taken with it.

  static bool valid_channel(std::string_view name);

 private:
  struct Channel;
  struct ChannelBlock;
  struct Subscription;
  struct Note;

  Channel* open_channel(std::string_view name);
  Channel* add_channel(std::string_view name);
  void close_if_unused(Channel& channel);
  Channel* find_channel(std::string_view name) const;
  Channel& channel_of(const Subscription& subscription) const;
  ChannelBlock& block_of(const Channel& channel) const;
  std::span<Subscription> subscriptions_of(const record::Record& record) const;
  Subscription* find_subscription(const record::Record& record, std::string_view channel) const;
  bool grow_subscriptions(record::Record& record);
  Subscription* add_subscription(record::Record& record, Channel& channel, ipc::Place ahead);
  void enter_channel(record::Record& record, Subscription& subscription, Channel& channel);
  bool arrive_at(record::Record& record, const Position& position);
  void catch_up(record::Record& record);
  void deliver_kept(const Replay::Entry& entry, ChannelBlock& block, uint32_t slot);
  void deliver_to_channel(const ipc::Deliver& message);
  void deliver_to_patterns(const ipc::Deliver& message);
  uint8_t wants_of(std::string_view channel, uint8_t wants) const;
  std::vector<std::string> patterns_of(std::string_view channel) const;
  std::vector<uint32_t> slots_behind(Channel& channel, ipc::Place place);
  void pass(Subscription& subscription, Channel& channel, ipc::Place place);
  void keep(Channel& channel, Replay::Entry&& entry);
  void skip_to(Channel& channel, ipc::Place place);
  void count_missed(const Channel* channel, uint64_t offset);
  void leave_channel(record::Record& record, Subscription& subscription);
  bool admits(std::string_view name, const Channel* channel) const;
  void count(std::string_view name, const Channel* channel) const;
  void count(const Channel& channel) const;
  void leave_arrays(const Subscription& subscription, Channel& channel);
  uint32_t slot_of(const record::Record& record) const;
  // hub_joining.cc
  Note note_of(const Subscription& subscription) const;
  bool set_note(Subscription& subscription, const Note& note);
  void send_join(const record::Record& record, Subscription& subscription, const Note& note, bool quiet);
  void finish_join(record::Record& record, Subscription& subscription, const ipc::ChannelState& state);
  void ask_list(const record::Record& record, const Subscription& subscription);
  void fail_lost_questions();

  record::Arena& arena_;
  Bus& bus_;
  Deliverer& deliverer_;
  metrics::Page& metrics_;
  OnSubscribed on_subscribed_;
  OnUserChange on_user_change_;
  std::function<bool(std::string_view)> is_pattern_;
  PatternSet patterns_;  // Names of local channels with a wildcard.
  OnChannelChange on_channel_change_;
  std::vector<std::function<void()>> on_room_;
  SubscriberLimit* limit_ = nullptr;
  std::unordered_map<std::string_view, Channel*> by_name_;  // Keys point into the channel's block.
  std::vector<std::unique_ptr<Channel>> channels_;          // By index; null where free.
  std::vector<uint32_t> free_indices_;
  std::unordered_map<uint64_t, OnPublished> waiting_;
  std::unordered_map<uint64_t, OnState> asked_;              // By ticket.
  std::unordered_map<uint64_t, OnUsers> asked_users_;        // By ticket.
  std::unordered_map<uint64_t, record::ConnId> joining_;     // By ticket.
  uint64_t next_ticket_;  // Begins anywhere: answers to a predecessor's tickets must find nobody.
  uint64_t recount_ticket_ = 0;  // The first one after the last Recount.
  Replay replay_;
  uint64_t holds_ = 0;      // How many hold() calls are not released.
  uint64_t next_hold_ = 1;
  bool refused_ = false;  // publish() said false; somebody waits for room.
};

}  // namespace beamgate::hub
