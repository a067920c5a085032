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
  const int64_t end_ms = monotonic_ms() + within_ms;
  for (;;) {
    std::vector<pollfd> waiting;
    for (uint16_t slot = 0; slot < ipc::kSlotsMax; ++slot) {
      if (ports_[slot] && !ports_[slot]->channel().between_frames()) receive(slot, 1);
      if (ports_[slot]) mark(*ports_[slot]);
    }
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
  idempotency_.for_each([&](const std::string& key, const IdempotencyTable::Receipt& receipt, int64_t since_ms) {
    state.receipts.push_back({key, receipt.epoch, receipt.offset, since_ms});
  });
  calls_.for_each([&](uint64_t number, uint16_t asker, uint64_t ticket, const SlotSet& waiting, int64_t since_ms) {
    state.calls.push_back({number, asker, ticket, since_ms, list(waiting)});
  });
  state.process.next_call = calls_.next_call();
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
    channels_.adopt(channel.name, {std::string(channel.epoch), channel.offset, interested}, channel.idle_since_ms);
  }
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
