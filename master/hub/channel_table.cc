#include "master/hub/channel_table.h"

#include <algorithm>
#include <iterator>

#include "common/base/clock.h"
#include "common/crypto/crypto.h"

namespace beamgate::master {
namespace {

std::string random_epoch() {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  uint64_t random = crypto::random_u64();
  std::string out(ChannelTable::kEpochBytes, '\0');
  for (char& c : out) {
    c = kAlphabet[random % kAlphabet.size()];
    random /= kAlphabet.size();
  }
  return out;
}

}  // namespace

ChannelTable::Entries::value_type& ChannelTable::open(std::string_view name) {
  const auto found = channels_.find(name);
  if (found != channels_.end()) return *found;
  auto& entry = *channels_.emplace(std::string(name), Entry{}).first;
  entry.second.channel.epoch = random_epoch();
  return entry;
}

void ChannelTable::set_idle(Entries::value_type& entry, int64_t now_ms) {
  Entry& state = entry.second;
  state.idle_since_ms = now_ms;
  if (state.idle) {
    idle_.splice(idle_.end(), idle_, state.place);
    return;
  }
  state.idle = true;
  state.place = idle_.insert(idle_.end(), &entry);
  if (idle_.size() > kIdleMax) forget_longest_idle();
}

void ChannelTable::note_occupancy(std::string_view name, bool occupied) const {
  if (on_occupancy_) on_occupancy_(name, occupied);
}

void ChannelTable::set_busy(Entry& entry) {
  if (!entry.idle) return;
  entry.idle = false;
  idle_.erase(entry.place);
}

void ChannelTable::forget_longest_idle() {
  const auto found = channels_.find(std::string_view(idle_.front()->first));
  idle_.pop_front();
  channels_.erase(found);
}

const HubChannel& ChannelTable::add_interest(std::string_view name, uint16_t slot) {
  Entry& entry = open(name).second;
  set_busy(entry);
  const bool was_empty = entry.channel.interested.empty();
  entry.channel.interested.add(slot);
  if (was_empty) note_occupancy(name, true);
  return entry.channel;
}

void ChannelTable::adopt(std::string_view name, HubChannel channel, int64_t idle_since_ms) {
  auto& entry = open(name);
  entry.second.channel = std::move(channel);
  if (entry.second.channel.interested.empty()) set_idle(entry, idle_since_ms);
}

const HubChannel& ChannelTable::learn(std::string_view name, std::string_view epoch, uint64_t offset, uint64_t presence,
                                      uint16_t slot) {
  const bool is_new = channels_.find(name) == channels_.end();
  Entry& entry = open(name).second;
  set_busy(entry);
  HubChannel& channel = entry.channel;
  if (is_new) channel.epoch = epoch;
  if (channel.epoch == epoch) {
    channel.offset = std::max(channel.offset, offset);
    channel.presence = std::max(channel.presence, presence);
  }
  channel.interested.add(slot);
  return channel;
}

void ChannelTable::remove_interest(std::string_view name, uint16_t slot, int64_t now_ms) {
  const auto found = channels_.find(name);
  if (found == channels_.end()) return;
  found->second.channel.interested.remove(slot);
  if (found->second.idle || !found->second.channel.interested.empty()) return;
  note_occupancy(name, false);
  set_idle(*found, now_ms);
}

void ChannelTable::drop_slot(uint16_t slot, int64_t now_ms) {
  for (auto next = channels_.begin(); next != channels_.end();) {
    auto& entry = *next++;
    if (!entry.second.channel.interested.contains(slot)) continue;
    entry.second.channel.interested.remove(slot);
    if (!entry.second.channel.interested.empty()) continue;
    note_occupancy(entry.first, false);
    entry.second.idle_since_ms = now_ms;
    entry.second.idle = true;
    entry.second.place = idle_.insert(idle_.end(), &entry);
  }
  while (idle_.size() > kIdleMax) forget_longest_idle();
}

HubChannel& ChannelTable::sequence(std::string_view name, int64_t now_ms) {
  auto& entry = open(name);
  ++entry.second.channel.offset;
  if (entry.second.channel.interested.empty()) set_idle(entry, now_ms);
  return entry.second.channel;
}

void ChannelTable::keep(HubChannel& channel, KeptPublication publication, uint32_t count_max, int64_t ttl_ms) {
  if (!channel.history) channel.history = std::make_unique<History>(store_);
  channel.history->add(std::move(publication), count_max, ttl_ms);
}

void ChannelTable::expire(int64_t now_ms) {
  for (size_t looked = idle_.size(); looked > 0 && now_ms - idle_.front()->second.idle_since_ms >= kIdleMs; --looked) {
    auto& entry = *idle_.front();
    History* history = entry.second.channel.history.get();
    if (history != nullptr) history->expire(wall_ms());
    if (history == nullptr || history->empty()) {
      forget_longest_idle();
    } else {
      set_idle(entry, now_ms);
    }
  }
}

HubChannel* ChannelTable::find(std::string_view name) {
  const auto found = channels_.find(name);
  return found == channels_.end() ? nullptr : &found->second.channel;
}

const HubChannel* ChannelTable::find(std::string_view name) const {
  const auto found = channels_.find(name);
  return found == channels_.end() ? nullptr : &found->second.channel;
}

}  // namespace beamgate::master
