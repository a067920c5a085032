// The moving part of Hub: what subscribers that come from another worker lack, and what they are ahead of.
//
// Two workers hear of a channel's publications, and of who comes and goes, at different times.  The destination holds a
// channel before the connection is frozen at its source, so that whatever it lacks then is in the Replay; when it is
// the destination that lags, the subscription's `ahead` says what not to deliver again.
#include <algorithm>

#include "common/ipc/wire.h"
#include "worker/hub/hub_parts.h"
#include "worker/record/text_block.h"

namespace beamgate::hub {

using metrics::Metric;
using record::Record;

std::vector<Hub::Position> Hub::positions_of(const Record& record) const {
  std::vector<Position> positions;
  for (const Subscription& subscription : subscriptions_of(record)) {
    auto& block = *arena_.at<ChannelBlock>(subscription.channel);
    Position& position = positions.emplace_back();
    position.channel = block.name();
    position.epoch = block.epoch_text();
    position.offset = std::max(block.offset, subscription.ahead.offset);
    position.note = record::text_of(arena_, subscription.note);
    if ((subscription.flags & kListOwed) == 0) position.presence = std::max(block.presence, subscription.ahead.presence);
  }
  return positions;
}

// --- Holding.

bool Hub::hold(std::string_view name) {
  if (!valid_channel(name)) return false;
  Channel* channel = find_channel(name);
  if (channel == nullptr) channel = open_channel(name);
  if (channel == nullptr) return false;
  ++holds_;
  if (channel->holds++ > 0) return true;
  channel->hold = next_hold_++;
  channel->kept_from = block_of(*channel).place();
  return true;
}

void Hub::release(std::string_view name) {
  Channel* channel = find_channel(name);
  BG_ASSERT(channel != nullptr && channel->holds > 0);
  if (--holds_ == 0) replay_.clear();
  if (--channel->holds == 0) close_if_unused(*channel);
}

std::optional<ipc::Place> Hub::place_of(std::string_view name) const {
  const Channel* channel = find_channel(name);
  if (channel == nullptr || block_of(*channel).confirmed == 0) return std::nullopt;
  return block_of(*channel).place();
}

void Hub::keep(Channel& channel, Replay::Entry&& entry) {
  entry.channel = block_of(channel).index;
  entry.hold = channel.hold;
  replay_.add(std::move(entry));
  while (replay_.too_large()) {
    const Replay::Entry gone = replay_.take_oldest();
    Channel* whose = channels_[gone.channel].get();
    if (whose == nullptr || whose->hold != gone.hold) continue;
    whose->kept_from.offset = std::max(whose->kept_from.offset, gone.offset);
    whose->kept_from.presence = std::max(whose->kept_from.presence, gone.presence);
  }
}

// --- Arriving.

bool Hub::arrive(Record& record, std::span<const Position> positions) {
  if (positions.size() > kSubscriptionsMax) return false;
  for (const Position& position : positions) {
    if (!arrive_at(record, position)) return false;
  }
  catch_up(record);
  return true;
}

bool Hub::arrive_at(Record& record, const Position& position) {
  Channel* channel = find_channel(position.channel);
  if (channel == nullptr || block_of(*channel).confirmed == 0 || find_subscription(record, position.channel) != nullptr) return false;
  const ChannelBlock& block = block_of(*channel);
  if (block.epoch_text() != position.epoch) return false;
  const ipc::Place told{position.offset, position.presence.value_or(block.presence)};
  const auto is_kept = [&](uint64_t ipc::Place::*number) {
    return told.*number >= block.place().*number || (channel->holds > 0 && told.*number >= channel->kept_from.*number);
  };
  if (!is_kept(&ipc::Place::offset) || !is_kept(&ipc::Place::presence)) return false;
  Subscription* subscription = add_subscription(record, *channel, told);
  if (subscription == nullptr) return false;
  if (!position.presence) subscription->flags |= kListOwed;
  enter_channel(record, *subscription, *channel);
  return record::assign_text(arena_, subscription->note, position.note);
}

// Delivers what came here since the subscriber's positions, in the order in which it came.
void Hub::catch_up(Record& record) {
  const auto subscriptions = subscriptions_of(record);
  const uint32_t slot = slot_of(record);
  for (const Replay::Entry& entry : replay_.entries()) {
    const Channel* channel = channels_[entry.channel].get();
    if (channel == nullptr || channel->hold != entry.hold) continue;
    for (const Subscription& subscription : subscriptions) {
      if (subscription.channel != channel->block) continue;
      if (subscription.ahead.offset >= entry.offset && subscription.ahead.presence >= entry.presence) continue;
      deliver_kept(entry, block_of(*channel), slot);
    }
  }
  for (Subscription& subscription : subscriptions) {
    Channel& channel = channel_of(subscription);
    pass(subscription, channel, block_of(channel).place());
  }
}

void Hub::deliver_kept(const Replay::Entry& entry, ChannelBlock& block, uint32_t slot) {
  if (entry.presence != 0) {
    ipc::PresenceChange change;
    if (ipc::decode(entry.payload, change)) deliverer_.deliver_presence(change, {&slot, 1});
    return;
  }
  metrics_.add(Metric::HubDeliveries);
  deliverer_.deliver({.channel = block.name(), .epoch = block.epoch_text(), .offset = entry.offset,
                      .kind = entry.kind, .payload = entry.payload, .except = entry.except,
                      .origin = {entry.sender, entry.user, entry.event, entry.meta}, .flags = entry.flags}, {&slot, 1});
}

// The subscribers that lack what is here now; of that they are ahead no longer.
std::vector<uint32_t> Hub::slots_behind(Channel& channel, ipc::Place place) {
  std::vector<uint32_t> slots;
  for (size_t i = 0; i < channel.slots.size(); ++i) {
    const Record& record = arena_.records()[channel.slots[i]];
    Subscription& subscription = subscriptions_of(record)[channel.entries[i]];
    const bool lacks = subscription.ahead.offset < place.offset || subscription.ahead.presence < place.presence;
    if (lacks) slots.push_back(channel.slots[i]);
    pass(subscription, channel, place);
  }
  return slots;
}

// This worker has come to `place`: who was ahead up to there isn't any more.
void Hub::pass(Subscription& subscription, Channel& channel, ipc::Place place) {
  for (uint64_t ipc::Place::*number : {&ipc::Place::offset, &ipc::Place::presence}) {
    if (subscription.ahead.*number == 0 || subscription.ahead.*number > place.*number) continue;
    arena_.save(subscription);
    subscription.ahead.*number = 0;
    --(channel.ahead.*number);
  }
}

}  // namespace beamgate::hub
