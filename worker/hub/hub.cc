#include "worker/hub/hub.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "common/crypto/crypto.h"
#include "common/ipc/wire.h"
#include "worker/hub/hub_parts.h"
#include "worker/record/text_block.h"

namespace beamgate::hub {

using metrics::Metric;
using record::Record;

Hub::Hub(record::Arena& arena, Bus& bus, Deliverer& deliverer, metrics::Page& metrics)
    : arena_(arena), bus_(bus), deliverer_(deliverer), metrics_(metrics), next_ticket_(crypto::random_u64() >> 8 | 1) {}

Hub::~Hub() = default;

bool Hub::valid_channel(std::string_view name) {
  if (name.empty() || name.size() > ipc::kChannelNameBytesMax) return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

// --- Looking things up.

uint32_t Hub::slot_of(const Record& record) const { return static_cast<uint32_t>(&record - arena_.records()); }

Hub::ChannelBlock& Hub::block_of(const Channel& channel) const { return *arena_.at<ChannelBlock>(channel.block); }

Hub::Channel& Hub::channel_of(const Subscription& subscription) const {
  return *channels_[arena_.at<ChannelBlock>(subscription.channel)->index];
}

Hub::Channel* Hub::find_channel(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

std::span<Hub::Subscription> Hub::subscriptions_of(const Record& record) const {
  if (record.subscription_count == 0) return {};
  return {arena_.at<Subscription>(record.subscriptions), record.subscription_count};
}

Hub::Subscription* Hub::find_subscription(const Record& record, std::string_view channel) const {
  for (Subscription& subscription : subscriptions_of(record)) {
    if (arena_.at<ChannelBlock>(subscription.channel)->name() == channel) return &subscription;
  }
  return nullptr;
}

bool Hub::is_subscribed(const Record& record, std::string_view channel) const {
  return find_subscription(record, channel) != nullptr;
}

bool Hub::all_confirmed(const Record& record) const {
  const auto subscriptions = subscriptions_of(record);
  return std::all_of(subscriptions.begin(), subscriptions.end(),
                     [this](const Subscription& subscription) {
                       return block_of(channel_of(subscription)).confirmed != 0 && (subscription.flags & kJoining) == 0;
                     });
}

std::vector<std::string_view> Hub::channels_of(const Record& record) const {
  std::vector<std::string_view> names;
  for (const Subscription& subscription : subscriptions_of(record)) {
    names.push_back(arena_.at<ChannelBlock>(subscription.channel)->name());
  }
  return names;
}

void Hub::for_each_channel(std::string_view prefix,
                           const std::function<void(std::string_view, size_t)>& visit) const {
  for (const auto& [name, channel] : by_name_) {
    if (!channel->slots.empty() && name.starts_with(prefix)) visit(name, channel->slots.size());
  }
}

size_t Hub::local_subscribers(std::string_view channel) const {
  const Channel* found = find_channel(channel);
  return found == nullptr ? 0 : found->slots.size();
}

void Hub::recount() const {
  for (const auto& [name, channel] : by_name_) count(*channel);
}

// Where it says true, count() has to follow.
bool Hub::admits(std::string_view name, const Channel* channel) const {
  return limit_ == nullptr || limit_->admit(name, channel == nullptr ? 0 : channel->subscribers());
}

void Hub::count(std::string_view name, const Channel* channel) const {
  if (limit_ != nullptr) limit_->count(name, channel == nullptr ? 0 : channel->subscribers());
}

void Hub::count(const Channel& channel) const { count(block_of(channel).name(), &channel); }

// Those who are joining stand in no array of the channel; each has a question to the master under way.
std::vector<ConnId> Hub::subscribers_of(std::string_view name) const {
  const Channel* channel = find_channel(name);
  if (channel == nullptr) return {};
  std::vector<uint32_t> slots = channel->slots;
  if (channel->joining > 0) {
    for (const auto& [ticket, id] : joining_) {
      const Record& record = arena_.records()[id.slot];
      const bool lives = record.generation == id.generation && record.phase != record::Phase::Free;
      if (lives && is_joining(record, name)) slots.push_back(id.slot);
    }
  }
  std::sort(slots.begin(), slots.end());
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());  // One may join several channels.
  std::vector<ConnId> ids;
  for (const uint32_t slot : slots) ids.push_back({slot, arena_.records()[slot].generation});
  return ids;
}

void Hub::for_each_subscriber(std::string_view channel, const std::function<void(Record&)>& visit) {
  const Channel* found = find_channel(channel);
  if (found == nullptr) return;
  const std::vector<uint32_t> slots = found->slots;
  for (size_t i = slots.size(); i-- > 0;) visit(arena_.records()[slots[i]]);
}

// --- Subscribing.

Result<Subscribed> Hub::subscribe(Record& record, std::string_view name) {
  if (!valid_channel(name)) return Error{Code::Invalid, 0, "not a channel name"};
  if (const Subscription* held = find_subscription(record, name)) {
    const bool done = block_of(channel_of(*held)).confirmed != 0 && (held->flags & kJoining) == 0;
    return done ? Subscribed::Now : Subscribed::Pending;
  }
  if (record.subscription_count >= kSubscriptionsMax) {
    return Error{Code::LimitReached, 0, "too many subscriptions on this connection"};
  }
  Channel* channel = find_channel(name);
  if (!admits(name, channel)) return Error{Code::LimitReached, 0, "the channel is full"};
  if (channel == nullptr) channel = open_channel(name);
  if (channel == nullptr) return count(name, nullptr), Error{Code::LimitReached, 0, "no memory for another channel"};
  Subscription* subscription = add_subscription(record, *channel, {});
  if (subscription == nullptr) {
    count(*channel);
    close_if_unused(*channel);
    return Error{Code::LimitReached, 0, "no memory for another subscription"};
  }
  enter_channel(record, *subscription, *channel);
  if (block_of(*channel).confirmed != 0) return Subscribed::Now;
  channel->pending.push_back(ConnId{slot_of(record), record.generation});
  return Subscribed::Pending;
}

// Null: the arena is full.
Hub::Subscription* Hub::add_subscription(Record& record, Channel& channel, ipc::Place ahead) {
  if (!grow_subscriptions(record)) return nullptr;
  record::touch(arena_, record);
  Subscription& added = arena_.at<Subscription>(record.subscriptions)[record.subscription_count++];
  added = {.channel = channel.block, .ahead = ahead};
  if (ahead.offset != 0) ++channel.ahead.offset;
  if (ahead.presence != 0) ++channel.ahead.presence;
  metrics_.add(Metric::HubSubscriptions);
  return &added;
}

// Into the channel's arrays: it is delivered to from now on.
void Hub::enter_channel(Record& record, Subscription& subscription, Channel& channel) {
  subscription.position = static_cast<uint32_t>(channel.slots.size());
  channel.slots.push_back(slot_of(record));
  channel.entries.push_back(static_cast<uint32_t>(&subscription - arena_.at<Subscription>(record.subscriptions)));
  count(channel);
}

Hub::Channel* Hub::open_channel(std::string_view name) {
  Channel* opened = add_channel(name);
  if (opened != nullptr) bus_.send_interest(name);
  return opened;
}

Hub::Channel* Hub::add_channel(std::string_view name) {
  const Ref block = arena_.allocate(sizeof(ChannelBlock) + name.size());
  if (block == kNull) return nullptr;
  auto* header = new (arena_.at(block)) ChannelBlock;
  header->name_bytes = static_cast<uint16_t>(name.size());
  memcpy(header->name_start(), name.data(), name.size());
  if (free_indices_.empty()) {
    free_indices_.push_back(static_cast<uint32_t>(channels_.size()));
    channels_.emplace_back();
  }
  header->index = free_indices_.back();
  free_indices_.pop_back();
  auto channel = std::make_unique<Channel>();
  channel->block = block;
  Channel* opened = channel.get();
  channels_[header->index] = std::move(channel);
  by_name_.emplace(header->name(), opened);
  if (has_wildcard(name)) patterns_.add(name);
  metrics_.add(Metric::HubChannels);
  return opened;
}

// The master goes on believing that this worker is interested in these channels, and nothing is sent.
bool Hub::copy_from(const record::Arena& from, const Record& old, Record& record) {
  record.subscriptions = kNull;
  record.subscription_count = 0;
  if (old.subscription_count == 0) return true;
  if (old.subscription_count > kSubscriptionsMax) return false;
  const auto* entries = reinterpret_cast<const Subscription*>(
      from.look(old.subscriptions, old.subscription_count * sizeof(Subscription)));
  if (entries == nullptr) return false;
  for (uint32_t i = 0; i < old.subscription_count; ++i) {
    const auto* block = from.look<ChannelBlock>(entries[i].channel);
    if (block == nullptr || from.look(entries[i].channel, sizeof *block + block->name_bytes) == nullptr) return false;
    const std::string_view name(reinterpret_cast<const char*>(block + 1), block->name_bytes);
    if (!valid_channel(name)) return false;
    Channel* channel = find_channel(name);
    if (channel == nullptr) {
      if ((channel = add_channel(name)) == nullptr) return false;
      ChannelBlock& copy = block_of(*channel);
      copy.offset = block->offset;
      copy.presence = block->presence;
      memcpy(copy.epoch, block->epoch, sizeof copy.epoch);
      copy.confirmed = block->confirmed != 0;
    }
    Subscription* copy = add_subscription(record, *channel, entries[i].ahead);
    if (copy == nullptr) return false;
    copy->flags = entries[i].flags & (kJoining | kListOwed);
    if ((copy->flags & kJoining) == 0) {
      enter_channel(record, *copy, *channel);
    } else {
      ++channel->joining;
      count(*channel);
    }
    if (entries[i].note == kNull) continue;
    const auto* length = from.look<uint32_t>(entries[i].note);
    const char* note = length == nullptr ? nullptr : from.look(entries[i].note, sizeof *length + *length);
    if (note == nullptr || !record::assign_text(arena_, copy->note, {note + sizeof *length, *length})) return false;
  }
  return true;
}

// A channel whose interest is not yet confirmed stays until it is: the confirmation of an earlier interest
// must not be taken for that of a later one.
void Hub::close_if_unused(Channel& channel) {
  if (channel.in_use() || block_of(channel).confirmed == 0) return;
  ChannelBlock& block = block_of(channel);
  bus_.send_withdraw(block.name());
  patterns_.remove(block.name());
  by_name_.erase(block.name());
  const uint32_t index = block.index;
  arena_.release(channel.block);
  channels_[index].reset();
  free_indices_.push_back(index);
  metrics_.subtract(Metric::HubChannels);
}

// Makes room for one more entry.
bool Hub::grow_subscriptions(Record& record) {
  const size_t bytes = record.subscription_count * sizeof(Subscription);
  if (record.subscriptions != kNull && arena_.capacity(record.subscriptions) >= bytes + sizeof(Subscription)) {
    return true;
  }
  const Ref larger = arena_.allocate(std::max(bytes * 2, sizeof(Subscription)));
  if (larger == kNull) return false;
  if (bytes > 0) memcpy(arena_.at(larger), arena_.at(record.subscriptions), bytes);
  record::touch(arena_, record);
  arena_.release(record.subscriptions);
  record.subscriptions = larger;
  return true;
}

bool Hub::unsubscribe(Record& record, std::string_view channel) {
  Subscription* subscription = find_subscription(record, channel);
  if (subscription == nullptr) return false;
  record::touch(arena_, record);
  leave_channel(record, *subscription);
  const std::span<Subscription> all = subscriptions_of(record);
  if (subscription != &all.back()) {
    arena_.save(*subscription);
    *subscription = all.back();
    if ((subscription->flags & kJoining) == 0) {
      channel_of(*subscription).entries[subscription->position] = static_cast<uint32_t>(subscription - all.data());
    }
  }
  if (--record.subscription_count == 0) unsubscribe_all(record);
  return true;
}

void Hub::unsubscribe_all(Record& record) {
  if (record.subscriptions == kNull) return;
  record::touch(arena_, record);
  for (Subscription& subscription : subscriptions_of(record)) leave_channel(record, subscription);
  record.subscription_count = 0;
  arena_.release(record.subscriptions);
  record.subscriptions = kNull;
}

// What the subscription is anywhere else goes.
void Hub::leave_channel(Record& record, Subscription& subscription) {
  Channel& channel = channel_of(subscription);
  if ((subscription.flags & kMemberTold) != 0) bus_.send_leave({record.uid, block_of(channel).name()});
  arena_.release(subscription.note);
  if (subscription.ahead.offset != 0) --channel.ahead.offset;
  if (subscription.ahead.presence != 0) --channel.ahead.presence;
  metrics_.subtract(Metric::HubSubscriptions);
  if ((subscription.flags & kJoining) != 0) {
    --channel.joining;
  } else {
    leave_arrays(subscription, channel);
    std::erase(channel.pending, ConnId{slot_of(record), record.generation});
  }
  count(channel);
  close_if_unused(channel);
}

// The last subscriber fills its place.
void Hub::leave_arrays(const Subscription& subscription, Channel& channel) {
  const uint32_t at = subscription.position;
  const uint32_t last_slot = channel.slots.back();
  const uint32_t last_entry = channel.entries.back();
  channel.slots[at] = last_slot;
  channel.entries[at] = last_entry;
  arena_.at<Subscription>(arena_.records()[last_slot].subscriptions)[last_entry].position = at;
  channel.slots.pop_back();
  channel.entries.pop_back();
}

// --- Publishing.

bool Hub::publish(std::string_view channel, std::string_view payload, const PublishOptions& options,
                  OnPublished done) {
  ipc::Publish message;
  message.ticket = done ? next_ticket_++ : 0;
  message.except = options.except;
  message.origin = options.origin;
  message.flags = options.flags;
  message.payload_kind = options.kind;
  message.channel = channel;
  message.payload = payload;
  message.idempotency_key = options.idempotency_key;
  message.receipt_ticket = options.receipt_ticket;
  message.acknowledge_ms = options.acknowledge_ms;
  if (!bus_.send_publish(message)) {
    refused_ = true;
    return false;
  }
  metrics_.add(Metric::HubPublications);
  if (done) waiting_.emplace(message.ticket, std::move(done));
  return true;
}

// --- From the bus.

void Hub::on_interest_ack(const ipc::InterestAck& message) {
  Channel* channel = find_channel(message.channel);
  if (channel == nullptr || block_of(*channel).confirmed != 0) return;
  ChannelBlock& block = block_of(*channel);
  arena_.save(block);
  block.confirmed = 1;
  block.offset = message.offset;
  block.presence = message.presence;
  channel->kept_from = block.place();
  const size_t epoch_bytes = std::min(message.epoch.size(), sizeof block.epoch - 1);
  memcpy(block.epoch, message.epoch.data(), epoch_bytes);
  block.epoch[epoch_bytes] = '\0';
  const std::vector<ConnId> pending = std::move(channel->pending);
  channel->pending.clear();
  close_if_unused(*channel);
  if (!on_subscribed_) return;
  for (const ConnId id : pending) on_subscribed_(id, message.channel);
}

void Hub::on_deliver(const ipc::Deliver& message) {
  if (message.receipt_call != 0) deliverer_.begin_receipt(message.receipt_call, message.acknowledge_ms);
  deliver_to_channel(message);
  if (!patterns_.empty()) deliver_to_patterns(message);
  if (message.receipt_call != 0) deliverer_.end_receipt();
}

bool Hub::is_pattern(std::string_view name) const { return has_wildcard(name) && is_pattern_ && is_pattern_(name); }

// What may be asked of it.
uint8_t Hub::wants_of(std::string_view channel, uint8_t wants) const {
  return is_pattern(channel) ? static_cast<uint8_t>(wants & ~ipc::kStateRecover) : wants;
}

// None for a channel whose own rules have no wildcards: a pattern is no way around them.
std::vector<std::string> Hub::patterns_of(std::string_view channel) const {
  if (patterns_.empty() || !is_pattern_ || !is_pattern_(channel)) return {};
  std::vector<std::string> out = patterns_.matching(channel);
  std::erase_if(out, [&](const std::string& pattern) { return pattern == channel || !is_pattern_(pattern); });
  return out;
}

// A connection may be closed by each of them, and a pattern's last subscriber with it.
void Hub::deliver_to_patterns(const ipc::Deliver& message) {
  for (const std::string& pattern : patterns_of(message.channel)) {
    const Channel* channel = find_channel(pattern);
    if (channel == nullptr || channel->slots.empty()) continue;
    metrics_.add(Metric::HubDeliveries, channel->slots.size());
    deliverer_.deliver({.channel = pattern, .epoch = block_of(*channel).epoch_text(), .offset = 0,
                        .kind = message.payload_kind, .payload = message.payload, .except = message.except, .origin = message.origin,
                        .source = message.channel, .flags = message.flags}, channel->slots);
  }
}

void Hub::deliver_to_channel(const ipc::Deliver& message) {
  Channel* channel = find_channel(message.channel);
  if (channel == nullptr || !channel->in_use()) return;  // It crossed our Withdraw.
  ChannelBlock& block = block_of(*channel);
  arena_.save(block);
  block.offset = message.offset;
  if (channel->holds > 0) {
    keep(*channel, {.offset = message.offset, .except = message.except, .flags = message.flags, .kind = message.payload_kind,
                    .payload = std::string(message.payload), .sender = message.origin.sender,
                    .user = std::string(message.origin.user), .event = std::string(message.origin.event),
                    .meta = std::string(message.origin.meta)});
  }
  if (channel->slots.empty()) return;
  metrics_.add(Metric::HubDeliveries, channel->slots.size());
  const Publication publication{.channel = message.channel,
                                .epoch = block.epoch_text(),
                                .offset = message.offset,
                                .kind = message.payload_kind,
                                .payload = message.payload,
                                .except = message.except,
                                .origin = message.origin,
                                .flags = message.flags};
  if (channel->ahead.offset > 0) return deliverer_.deliver(publication, slots_behind(*channel, {.offset = message.offset}));
  deliverer_.deliver(publication, channel->slots);
}

void Hub::on_presence_change(const ipc::PresenceChange& message) {
  Channel* channel = find_channel(message.channel);
  if (channel == nullptr || !channel->in_use()) return;
  ChannelBlock& block = block_of(*channel);
  arena_.save(block);
  block.presence = message.number;
  if (channel->holds > 0) keep(*channel, {.presence = message.number, .payload = ipc::encode(message)});
  if (channel->ahead.presence > 0) {
    deliverer_.deliver_presence(message, slots_behind(*channel, {.presence = message.number}));
  } else if (!channel->slots.empty()) {
    deliverer_.deliver_presence(message, channel->slots);
  }
}

// Everything up to this offset, which may be many publications, or a change of members alone.  Of a channel that is
// subscribed to by patterns only it isn't known how many.
void Hub::count_missed(const Channel* channel, uint64_t offset) {
  uint64_t missed = 1;
  if (channel != nullptr && channel->in_use() && block_of(*channel).confirmed != 0) {
    const uint64_t had = block_of(*channel).offset;
    if (offset > had) missed = offset - had;
  }
  metrics_.add(Metric::HubGaps, missed);
}

void Hub::on_gap(const ipc::Gap& message) {
  count_missed(find_channel(message.channel), message.offset);
  for (const std::string& pattern : patterns_of(message.channel)) {
    const Channel* missing = find_channel(pattern);
    if (missing != nullptr && !missing->slots.empty()) deliverer_.deliver_gap(pattern, 0, missing->slots);
  }
  Channel* channel = find_channel(message.channel);
  if (channel == nullptr || !channel->in_use()) return;
  skip_to(*channel, {message.offset, message.presence});
  if (channel->ahead.offset > 0 || channel->ahead.presence > 0) {
    deliverer_.deliver_gap(message.channel, message.offset, slots_behind(*channel, channel->kept_from));
  } else if (!channel->slots.empty()) {
    deliverer_.deliver_gap(message.channel, message.offset, channel->slots);
  }
}

void Hub::on_missed(const ipc::Missed& message) {
  Channel* channel = find_channel(message.channel);
  count_missed(channel, message.offset);
  if (channel != nullptr) skip_to(*channel, {message.offset, message.presence});
}

// What came up to here didn't come to this worker.
void Hub::skip_to(Channel& channel, ipc::Place place) {
  ChannelBlock& block = block_of(channel);
  arena_.save(block);
  block.offset = place.offset;
  block.presence = place.presence;
  channel.kept_from = place;
}

void Hub::on_publish_ack(const ipc::PublishAck& message) {
  const auto found = waiting_.find(message.ticket);
  if (found == waiting_.end()) return;
  const OnPublished done = std::move(found->second);
  waiting_.erase(found);
  done(PublishReceipt{.accepted = true, .epoch = message.epoch, .offset = message.offset});
}

void Hub::on_room() {
  if (!refused_) return;
  refused_ = false;
  for (const auto& told : on_room_) told();
}

void Hub::on_bus_lost() {
  recount_ticket_ = next_ticket_;
  on_recounted();
}

void Hub::on_recount() {
  for (const auto& [name, channel] : by_name_) {
    const ChannelBlock& block = block_of(*channel);
    bus_.send_known({block.confirmed != 0, block.offset, block.presence, block.epoch_text(), name});
  }
  recount_ticket_ = next_ticket_;
  tell_all_members(true);
}

void Hub::on_recounted() {
  fail_lost_questions();
  std::vector<OnPublished> lost;
  std::erase_if(waiting_, [&](auto& entry) {
    if (entry.first >= recount_ticket_) return false;
    lost.push_back(std::move(entry.second));
    return true;
  });
  for (const OnPublished& done : lost) done(PublishReceipt{});
}

}  // namespace beamgate::hub
