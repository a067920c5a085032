// The moving part of Hub: what subscribers that come from another worker lack, and what they are ahead of.
//
// Two workers hear of a channel's publications at different times.  The destination holds a channel before the
// connection is frozen at its source, so that whatever it lacks then is in the Replay; when it is the
// destination that lags, the subscription's `after` says what not to deliver again.
#include <algorithm>

#include "worker/hub/hub_parts.h"

namespace beamgate::hub {

using metrics::Metric;
using record::Record;

std::vector<Hub::Position> Hub::positions_of(const Record& record) const {
  std::vector<Position> positions;
  for (const Subscription& subscription : subscriptions_of(record)) {
    auto& block = *arena_.at<ChannelBlock>(subscription.channel);
    positions.push_back({block.name(), block.epoch_text(), std::max(block.offset, subscription.after)});
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
  channel->kept_from = block_of(*channel).offset;
  return true;
}

void Hub::release(std::string_view name) {
  Channel* channel = find_channel(name);
  BG_ASSERT(channel != nullptr && channel->holds > 0);
  if (--holds_ == 0) replay_.clear();
  if (--channel->holds == 0) close_if_unused(*channel);
}

std::optional<uint64_t> Hub::offset_of(std::string_view name) const {
  const Channel* channel = find_channel(name);
  if (channel == nullptr || block_of(*channel).confirmed == 0) return std::nullopt;
  return block_of(*channel).offset;
}

void Hub::keep(Channel& channel, const ipc::Deliver& message) {
  replay_.add({block_of(channel).index, channel.hold, message.offset, message.except, message.payload_kind,
               std::string(message.payload)});
  while (replay_.too_large()) {
    const Replay::Entry gone = replay_.take_oldest();
    Channel* whose = channels_[gone.channel].get();
    if (whose != nullptr && whose->hold == gone.hold) whose->kept_from = std::max(whose->kept_from, gone.offset);
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
  const bool lacks = position.offset < block.offset;
  if (lacks && (channel->holds == 0 || position.offset < channel->kept_from)) return false;
  return enter_channel(record, *channel, position.offset);
}

// Delivers what was published here since the subscriber's positions, in the order in which it came.
void Hub::catch_up(Record& record) {
  const auto subscriptions = subscriptions_of(record);
  const uint32_t slot = slot_of(record);
  for (const Replay::Entry& entry : replay_.entries()) {
    const Channel* channel = channels_[entry.channel].get();
    if (channel == nullptr || channel->hold != entry.hold) continue;
    for (Subscription& subscription : subscriptions) {
      if (subscription.channel != channel->block || subscription.after >= entry.offset) continue;
      ChannelBlock& block = block_of(*channel);
      metrics_.add(Metric::HubDeliveries);
      deliverer_.deliver({.channel = block.name(), .epoch = block.epoch_text(), .offset = entry.offset,
                          .kind = entry.kind, .payload = entry.payload, .except = entry.except}, {&slot, 1});
    }
  }
  for (Subscription& subscription : subscriptions) {
    Channel& channel = channel_of(subscription);
    if (subscription.after == 0 || subscription.after > block_of(channel).offset) continue;
    arena_.save(subscription);
    subscription.after = 0;
    --channel.ahead;
  }
}

// The subscribers that lack the publication with this offset; they are ahead of nothing from now on.
std::vector<uint32_t> Hub::slots_behind(Channel& channel, uint64_t offset) {
  std::vector<uint32_t> slots;
  for (size_t i = 0; i < channel.slots.size(); ++i) {
    const Record& record = arena_.records()[channel.slots[i]];
    Subscription& subscription = subscriptions_of(record)[channel.entries[i]];
    if (subscription.after < offset) slots.push_back(channel.slots[i]);
    if (subscription.after == 0 || subscription.after > offset) continue;
    arena_.save(subscription);
    subscription.after = 0;
    --channel.ahead;
  }
  return slots;
}

void Hub::deliver_to_those_behind(const Publication& publication, Channel& channel) {
  deliverer_.deliver(publication, slots_behind(channel, publication.offset));
}

}  // namespace beamgate::hub
