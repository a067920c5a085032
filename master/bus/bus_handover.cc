// The bus over the execution of another binary: what it leaves and how it goes on from there.
#include <poll.h>

#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "master/bus/bus.h"

namespace beamgate::master {

bool Bus::settled(const Port& port) const {
  return port.channel().between_frames() && !port.wants_writable() && !port.missing();
}

// New frames are not read meanwhile, so that what is queued can only become less.
bool Bus::settle(int64_t within_ms) {
  deliver_all_conflated();
  const int64_t end_ms = monotonic_ms() + within_ms;
  for (;;) {
    std::vector<pollfd> waiting;
    for (uint16_t slot = 0; slot < ipc::kSlotsMax; ++slot) {
      if (ports_[slot] && !ports_[slot]->channel().between_frames()) receive(slot, 1);
      if (ports_[slot]) mark(*ports_[slot]);
    }
    tell_all_presence();
    flush();
    for (const auto& port : ports_) {
      if (!port || settled(*port)) continue;
      short events = port->channel().between_frames() ? 0 : POLLIN;
      if (port->wants_writable()) events |= POLLOUT;
      waiting.push_back({port->channel().descriptor(), events, 0});
    }
    if (waiting.empty()) return true;
    const int64_t left_ms = end_ms - monotonic_ms();
    if (left_ms <= 0 || poll(waiting.data(), waiting.size(), static_cast<int>(left_ms)) <= 0) return false;
  }
}

void Bus::leave_ports(HandoverState& state) const {
  for (auto& slot : state.slots) {
    const Port* port = ports_[slot.slot].get();
    if (port == nullptr) continue;
    slot.worker = port->worker();
    slot.bus = port->channel().descriptor();
    slot.said_hello = port->said_hello;
    slot.serving = port->serving;
    const auto positions = port->channel().positions();
    slot.bus_sent = positions.sent;
    slot.bus_received = positions.received;
  }
}

void Bus::leave(HandoverState& state) const {
  leave_ports(state);
  const auto list = [](const SlotSet& set) {
    std::vector<uint16_t> out;
    set.for_each([&](uint16_t slot) { out.push_back(slot); });
    return out;
  };
  channels_.for_each([&](const std::string& name, const HubChannel& channel, int64_t idle_since_ms) {
    state.channels.push_back({name, channel.epoch, channel.offset, idle_since_ms, list(channel.interested)});
  });
  channels_.for_each([&](const std::string& name, const HubChannel& channel, int64_t) {
    if (!channel.history) return;
    channel.history->for_each([&](const KeptPublication& kept) {
      state.publications.push_back({name, kept.offset, kept.time_ms, static_cast<uint8_t>(kept.kind), kept.sender,
                                    kept.user, kept.event, kept.payload});
    });
  });
  channels_.for_each([&](const std::string& name, const HubChannel& channel, int64_t) {
    const bool counted = !presence_.listed(name);
    if (channel.presence != 0 || counted) state.presence.push_back({name, channel.presence, counted});
  });
  presence_.for_each([&](const std::string& name, const PresenceTable::Connection& member, const PresenceTable::Stay& stay) {
    state.members.push_back({name, member.uid, member.since_ms, member.protocol, member.slot, member.user, member.info,
                             stay.joined_ms, stay.leaves_at_ms, stay.left_ms});
  });
  state.journal = {journal_.incarnation(), journal_.sequence(), told_};
  for (const PresenceJournal::Change& change : journal_.changes()) state.user_changes.push_back(change.view());
  idempotency_.for_each([&](const std::string& key, const IdempotencyTable::Receipt& receipt, int64_t since_ms) {
    state.receipts.push_back({key, receipt.epoch, receipt.offset, since_ms});
  });
  calls_.for_each([&](uint64_t number, uint16_t asker, uint64_t ticket, const SlotSet& waiting, int64_t since_ms) {
    state.calls.push_back({number, asker, ticket, since_ms, list(waiting)});
  });
  state.process.next_call = calls_.next_call();
}

// As much of it as the configuration that holds now would keep.
void Bus::adopt_history(const HandoverState& state) {
  for (const auto& past : state.publications) {
    HubChannel* channel = channels_.find(past.channel);
    if (channel == nullptr) continue;
    const Retention retention = retention_of(past.channel, *channel);
    if (retention.count == 0 || (channel->history && channel->history->newest_offset() >= past.offset)) continue;
    channels_.keep(*channel,
                   {.offset = past.offset, .time_ms = past.time_ms, .kind = static_cast<ipc::PayloadKind>(past.kind),
                    .sender = past.sender, .user = std::string(past.user), .event = std::string(past.event),
                    .payload = std::string(past.payload)},
                   retention.count, retention.ttl_ms);
  }
}

Result<void> Bus::adopt(const HandoverState& state) {
  for (const auto& slot : state.slots) {
    if (slot.bus < 0) continue;
    if (auto attached = attach(slot.slot, slot.worker, UniqueFd(slot.bus)); !attached.ok()) return attached;
    ports_[slot.slot]->channel().go_on_from({slot.bus_sent, slot.bus_received});
    ports_[slot.slot]->said_hello = slot.said_hello;
    ports_[slot.slot]->serving = slot.serving;
  }
  const auto set = [](const std::vector<uint16_t>& list) {
    SlotSet out;
    for (const uint16_t slot : list) out.add(slot);
    return out;
  };
  for (const auto& channel : state.channels) {
    const SlotSet interested = set(channel.interested);
    interested.for_each([this](uint16_t slot) { ++interests_[slot]; });
    HubChannel adopted;
    adopted.epoch = channel.epoch;
    adopted.offset = channel.offset;
    adopted.interested = interested;
    const bool left_lately = adopted.interested.empty() && monotonic_ms() - channel.idle_since_ms < Occupancy::kVacantMs;
    channels_.adopt(channel.name, std::move(adopted), channel.idle_since_ms);
    if (!interested.empty()) note_pattern(channel.name);
    if (left_lately) on_occupancy(channel.name, false);
  }
  adopt_history(state);
  for (const auto& member : state.members) {
    presence_.adopt(member.channel,
                    {.uid = member.uid, .since_ms = member.since_ms, .protocol = member.protocol, .slot = member.slot,
                     .confirmed = true, .user = std::string(member.user), .info = std::string(member.info)},
                    {member.joined_ms, member.leaves_at_ms, member.left_ms}, presence_rules_of(member.channel));
  }
  for (const auto& presence : state.presence) {
    if (HubChannel* channel = channels_.find(presence.channel)) channel->presence = presence.number;
    if (presence.counted) presence_.adopt_counted(presence.channel);
  }
  if (state.journal.incarnation != 0) {
    journal_.adopt(state.journal.incarnation, state.journal.sequence);
    told_ = state.journal.told;
    for (const ipc::UserChange& change : state.user_changes) {
      journal_.adopt({change.sequence, change.joined, change.joined_ms, change.left_ms, std::string(change.channel),
                      std::string(change.user), std::string(change.info), change.incarnation});
    }
  }
  expire_presence();
  for (const auto& receipt : state.receipts) {
    idempotency_.adopt(receipt.key, {receipt.offset, std::string(receipt.epoch)}, receipt.since_ms);
  }
  for (const auto& call : state.calls) {
    calls_.adopt(call.number, call.asker, call.ticket, set(call.waiting), call.since_ms);
  }
  calls_.set_next_call(state.process.next_call);
  return {};
}

}  // namespace beamgate::master
