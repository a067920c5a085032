// The bus in the place of a dead master: what the workers know becomes the hub's state.
#include <utility>

#include "common/base/clock.h"
#include "master/bus/bus.h"

namespace beamgate::master {
namespace {

constexpr size_t kEpochBytesMax = 15;  // What a worker has room for.

// Positions of bytes, and numbers of calls: a dead master has never come so far in its time, and the next one will
// be further.
uint64_t beyond_the_dead() { return static_cast<uint64_t>(wall_ms()) << 20; }

}  // namespace

void Bus::recount() {
  SlotSet asked;
  const uint64_t position = beyond_the_dead();
  calls_.set_next_call(position);
  for (const auto& port : ports_) {
    if (!port) continue;
    asked.add(port->slot());
    port->channel().begin_anew(position);
    port->said_hello = port->recounts = true;
    port->send(ipc::Recount{});
    mark(*port);
  }
  recount_ = std::make_unique<Recount>(asked);
  recount_timer_ = loop_.after(asked.empty() ? 0 : kRecountMs, [this] { finish_recount(); });
}

// In a turn of its own: nobody is in the middle of a worker's frames then.
void Bus::look_at_recount() {
  if (!recount_->complete() && !recount_->full()) return;
  if (recount_timer_) loop_.cancel(*recount_timer_);
  recount_timer_ = loop_.after(0, [this] { finish_recount(); });
}

bool Bus::on_known(Port& port, const ipc::Known& known) {
  if (!port.recounts || !valid_name(known.channel) || known.epoch.size() > kEpochBytesMax) return false;
  Recount::Account account{port.slot(),    known.confirmed,          known.offset,
                           known.presence, std::string(known.epoch), std::string(known.channel)};
  if (!learn(port, account)) return false;
  if (!recount_) return settle_account(port, account);
  recount_->add(std::move(account));
  return true;
}

bool Bus::on_known_all(Port& port, const ipc::KnownAll& known) {
  if (!std::exchange(port.recounts, false)) return false;
  port.serving = true;
  if (recount_) {
    recount_->answered(port.slot());
    look_at_recount();
  } else {
    port.send(ipc::Recounted{});
    mark(port);
    tell_lists();
  }
  observer_.on_ready(port.slot(), known.generation);
  return true;
}

// One that the dead master had not confirmed says nothing of the channel: its interest counts in settle_account().
bool Bus::learn(Port& port, const Recount::Account& account) {
  if (!account.confirmed) return true;
  const HubChannel* known = channels_.find(account.channel);
  if (known == nullptr || !known->interested.contains(port.slot())) {
    if (interests_[port.slot()] >= kInterestsMax) return false;
    ++interests_[port.slot()];
  }
  channels_.learn(account.channel, account.epoch, account.offset, account.presence, port.slot());
  note_pattern(account.channel);
  return true;
}

// What others have got and this one has not went with the dead master.
bool Bus::settle_account(Port& port, const Recount::Account& account) {
  if (!account.confirmed) return on_interest(port, ipc::Interest{account.channel});
  const HubChannel* channel = channels_.find(account.channel);
  if (channel == nullptr) return true;
  const bool has_all = channel->epoch == account.epoch && channel->offset == account.offset;
  if (has_all && channel->presence == account.presence) return true;
  if (!has_all) log_.warn("bus_publications_lost", {{"worker", port.worker()}, {"channel", account.channel}});
  port.send(ipc::Missed{channel->offset, channel->presence, account.channel});
  mark(port);
  return true;
}

void Bus::finish_recount() {
  recount_timer_.reset();
  const auto recount = std::move(recount_);
  if (!recount->complete()) log_.error("bus_recount_incomplete", {{"missing", recount->missing()}});
  for (const Recount::Account& account : recount->accounts()) {
    Port* port = ports_[account.slot].get();
    if (port != nullptr && !settle_account(*port, account)) end(account.slot, "too many channels");
  }
  for (const Recount::Held& held : recount->held()) {
    Port* port = ports_[held.slot].get();
    if (port == nullptr) continue;
    ipc::Descriptors none;
    if (!handle(*port, {held.kind, held.body, &none})) end(held.slot, "bad bus message");
  }
  send_acknowledgements();  // Recounted ends what is not acknowledged.
  for (const auto& port : ports_) {
    if (!port || port->recounts) continue;
    port->send(ipc::Recounted{});
    mark(*port);
  }
  tell_lists();
  observer_.on_recounted();
}

}  // namespace beamgate::master
