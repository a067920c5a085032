#include "master/bus/bus.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/base/clock.h"

namespace beamgate::master {
namespace {

template <typename Message, typename Handler>
bool decode_and(const ipc::Frame& frame, Handler handler) {
  Message message;
  return ipc::decode(frame.body, message) && handler(message);
}

}  // namespace

// Zero bytes would blur the limits of composed keys; the worker refuses such names before they come here.
bool Bus::valid_name(std::string_view name) {
  return !name.empty() && name.size() <= ipc::kChannelNameBytesMax && name.find('\0') == name.npos;
}

Bus::Bus(EventLoop& loop, log::Log& log, Observer& observer) : loop_(loop), log_(log), observer_(observer) {
  presence_.set_on_user_change([this](const auto& change) { on_user_change(change); });
  channels_.set_on_occupancy([this](std::string_view channel, bool occupied) { on_occupancy(channel, occupied); });
}

Bus::~Bus() {
  if (recount_timer_) loop_.cancel(*recount_timer_);
  if (presence_timer_) loop_.cancel(*presence_timer_);
  if (occupancy_timer_) loop_.cancel(*occupancy_timer_);
  for (const auto& [name, timer] : conflating_) loop_.cancel(timer);
  for (uint16_t slot = 0; slot < ipc::kSlotsMax; ++slot) {
    if (ports_[slot]) loop_.unwatch(watches_[slot]);
  }
}

Result<void> Bus::attach(uint16_t slot, uint16_t worker, UniqueFd socket) {
  BG_ASSERT(slot < ipc::kSlotsMax && !ports_[slot]);
  auto port = std::make_unique<Port>(slot, worker, std::move(socket));
  auto watch = loop_.watch(port->channel().descriptor(),
                           [this, slot](EventLoop::Ready ready) { on_port_ready(slot, ready); });
  if (!watch.ok()) return watch.error();
  watches_[slot] = watch.value();
  ports_[slot] = std::move(port);
  interests_[slot] = 0;
  worker_of_[slot] = worker;
  return {};
}

void Bus::detach(uint16_t slot) {
  if (ports_[slot]) close(slot);
}

void Bus::close(uint16_t slot) {
  const int64_t now_ms = monotonic_ms();
  loop_.unwatch(watches_[slot]);
  ports_[slot].reset();
  if (interests_[slot] > 0) {
    channels_.drop_slot(slot, now_ms);
    patterns_.remove_unless([this](const std::string& pattern) { return is_wanted_pattern(pattern); });
  }
  presence_.drop_slot(slot, now_ms);
  calls_.drop_slot(slot, [this](const CallTable::Due& due, uint16_t from) { answer(due, from, false, {}); });
  if (!recount_) return;
  recount_->answered(slot);
  look_at_recount();
}

void Bus::end(uint16_t slot, const char* reason) {
  close(slot);
  observer_.on_misbehaved(slot, reason);
}

void Bus::mark(Port& port) {
  if (port.dirty) return;
  port.dirty = true;
  dirty_.push_back(port.slot());
}

void Bus::unmark(uint16_t slot) {
  if (Port* port = ports_[slot].get()) port->dirty = false;
  std::erase(dirty_, slot);
}

void Bus::on_port_ready(uint16_t slot, EventLoop::Ready ready) {
  Port& port = *ports_[slot];
  if (ready.writable) mark(port);
  if (ready.readable) receive(slot, ipc::Channel::kPacketsPerTurn);
}

void Bus::receive(uint16_t slot, int packets_max) {
  Port& port = *ports_[slot];
  const auto received =
      port.channel().receive([&](const ipc::Frame& frame) { return handle(port, frame); }, packets_max);
  if (received.ok()) return;
  if (received.error().code == Code::Closed) {
    close(slot);
    observer_.on_bus_closed(slot);
  } else {
    end(slot, received.error().text);
  }
}

void Bus::flush() {
  tell_users();
  tell_occupancy();
  answer_farewells();
  if (presence_.has_changes()) {
    presence_.take_changes(monotonic_ms(), [this](const auto& changes) { tell_presence(changes); });
  }
  send_acknowledgements();
  write_dirty();
}

// When all else is written.  A port that is the only one to get some waits with all it has, for one packet.
void Bus::send_acknowledgements() {
  if (acknowledgements_.empty()) return;
  const uint16_t first = acknowledgements_.front().slot;
  const bool one = std::all_of(acknowledgements_.begin(), acknowledgements_.end(),
                               [first](const Acknowledgement& each) { return each.slot == first; });
  if (one) unmark(first);
  write_dirty();
  for (const Acknowledgement& each : acknowledgements_) {
    Port* port = ports_[each.slot].get();
    if (port == nullptr) continue;
    mark(*port);
    if (port->worker() == each.worker) port->send(ipc::PublishAck{each.ticket, each.offset, each.epoch});
  }
  acknowledgements_.clear();
}

void Bus::write_dirty() {
  for (size_t i = 0; i < dirty_.size(); ++i) {  // Ending a port may mark others: by index.
    const uint16_t slot = dirty_[i];
    Port* port = ports_[slot].get();
    if (port == nullptr) continue;
    port->dirty = false;
    const bool was_missing = port->missing();
    port->flush(queue_bytes_);
    if (port->stuck(queue_bytes_)) {
      end(slot, "does not read its bus");
      continue;
    }
    if (was_missing && !port->missing()) {
      log_.warn("bus_queue_recovered", {{"worker", port->worker()}, {"dropped", port->dropped()}});
    }
    loop_.want_writable(watches_[slot], port->wants_writable());
  }
  dirty_.clear();
}

void Bus::expire(int64_t now_ms) {
  channels_.expire(now_ms);
  expire_presence();
  calls_.expire(now_ms, [this](const CallTable::Due& due, uint16_t from) { answer(due, from, false, {}); });
}

bool Bus::handle(Port& port, const ipc::Frame& frame) {
  const bool answers = frame.kind == ipc::Kind::Known || frame.kind == ipc::Kind::KnownAll;
  if (recount_ && !answers) {
    recount_->hold(port.slot(), frame);
    if (recount_->full()) look_at_recount();
    return true;
  }
  if (!port.said_hello && frame.kind != ipc::Kind::Hello) return false;
  switch (frame.kind) {
    case ipc::Kind::Publish:
      return decode_and<ipc::Publish>(frame, [&](auto& message) { return on_publish(port, message); });
    case ipc::Kind::Interest:
      return decode_and<ipc::Interest>(frame, [&](auto& message) { return on_interest(port, message); });
    case ipc::Kind::Withdraw:
      return decode_and<ipc::Withdraw>(frame, [&](auto& message) { return on_withdraw(port, message); });
    case ipc::Kind::Call:
      return decode_and<ipc::Call>(frame, [&](auto& message) { return on_call(port, message); });
    case ipc::Kind::Reply:
      return decode_and<ipc::Reply>(frame, [&](auto& message) { return on_reply(port, message); });
    case ipc::Kind::Join:
      return decode_and<ipc::Join>(frame, [&](auto& message) { return on_join(port, message); });
    case ipc::Kind::Leave:
      return decode_and<ipc::Leave>(frame, [&](auto& message) { return on_leave(port, message); });
    case ipc::Kind::JoinedAll:
      return decode_and<ipc::JoinedAll>(frame, [&](auto&) { return on_joined_all(port); });
    case ipc::Kind::Ask:
      return decode_and<ipc::Ask>(frame, [&](auto& message) { return on_ask(port, message); });
    case ipc::Kind::AskUsers:
      return decode_and<ipc::AskUsers>(frame, [&](auto& message) { return on_ask_users(port, message); });
    case ipc::Kind::Farewell:
      return decode_and<ipc::Farewell>(frame, [&](auto&) { return on_farewell(port); });
    case ipc::Kind::Hello:
      return decode_and<ipc::Hello>(frame, [&](auto& message) { return on_hello(port, message); });
    case ipc::Kind::Ready:
      return decode_and<ipc::Ready>(frame, [&](auto& message) {
        port.serving = true;
        observer_.on_ready(port.slot(), message.generation);
        return true;
      });
    case ipc::Kind::Prepared:
      return decode_and<ipc::Prepared>(frame, [&](auto& message) {
        observer_.on_prepared(port.slot(), message);
        return true;
      });
    case ipc::Kind::Moved:
      return decode_and<ipc::Moved>(frame, [&](auto& message) {
        observer_.on_moved(port.slot(), message);
        return true;
      });
    case ipc::Kind::Known:
      return decode_and<ipc::Known>(frame, [&](auto& message) { return on_known(port, message); });
    case ipc::Kind::KnownAll:
      return decode_and<ipc::KnownAll>(frame, [&](auto& message) { return on_known_all(port, message); });
    default:
      return false;  // Unknown, or one that only the master sends.
  }
}

bool Bus::on_hello(Port& port, const ipc::Hello& hello) {
  // A second one is a successor's.
  if (hello.version != ipc::kBusVersion || hello.worker != port.worker()) return false;
  if (port.said_hello) presence_.doubt_slot(port.slot());
  port.said_hello = true;
  return true;
}

bool Bus::on_interest(Port& port, const ipc::Interest& interest) {
  if (!valid_name(interest.channel)) return false;
  const HubChannel* known = channels_.find(interest.channel);
  if (known == nullptr || !known->interested.contains(port.slot())) {
    if (interests_[port.slot()] >= kInterestsMax) return false;
    ++interests_[port.slot()];
  }
  const HubChannel& channel = channels_.add_interest(interest.channel, port.slot());
  note_pattern(interest.channel);
  port.send(ipc::InterestAck{interest.channel, channel.epoch, channel.offset, channel.presence});
  mark(port);
  return true;
}

bool Bus::on_withdraw(Port& port, const ipc::Withdraw& withdraw) {
  if (!valid_name(withdraw.channel)) return false;
  const HubChannel* known = channels_.find(withdraw.channel);
  if (known == nullptr || !known->interested.contains(port.slot())) return true;
  --interests_[port.slot()];
  channels_.remove_interest(withdraw.channel, port.slot(), monotonic_ms());
  if (!is_wanted_pattern(withdraw.channel)) patterns_.remove(withdraw.channel);
  port.forget_missed(withdraw.channel);
  return true;
}

bool Bus::on_publish(Port& port, const ipc::Publish& publish) {
  if (!valid_name(publish.channel) || publish.payload_kind > ipc::PayloadKind::Json) return false;
  if (publish.idempotency_key.size() > ipc::kIdempotencyKeyBytesMax) return false;
  if (publish.origin.event.size() > ipc::kEventBytesMax || publish.origin.user.size() > ipc::kUserBytesMax) return false;
  if (publish.origin.meta.size() > ipc::kMetaBytesMax) return false;
  const int64_t now_ms = monotonic_ms();
  if (!publish.idempotency_key.empty()) {
    const auto* receipt = idempotency_.find(publish.channel, publish.idempotency_key, now_ms);
    if (receipt != nullptr) {
      acknowledge(port, publish.ticket, receipt->offset, receipt->epoch);
      refuse_receipt(port, publish);
      return true;
    }
  }
  HubChannel& channel = channels_.sequence(publish.channel, now_ms);
  if (!publish.idempotency_key.empty()) {
    idempotency_.remember(publish.channel, publish.idempotency_key, {channel.offset, channel.epoch}, now_ms);
  }
  keep(publish.channel, channel, publish);
  if (const int64_t conflate_ms = rules_of(publish.channel, channel).conflate_ms; conflate_ms > 0) {
    conflate(port, channel, publish, conflate_ms);
  } else {
    relay(&port, channel, publish);
  }
  acknowledge(port, publish.ticket, channel.offset, channel.epoch);
  return true;
}

// publisher: whom a receipt goes to; null: nobody waits for one any more.
void Bus::relay(Port* publisher, HubChannel& channel, const ipc::Publish& publish) {
  const std::string_view name = publish.channel;
  SlotSet targets = channel.interested;
  const config::ChannelRules& rules = rules_of(name, channel);
  if (rules.wildcards && !patterns_.empty()) add_pattern_interest(name, targets);
  const uint64_t call = publisher == nullptr ? 0 : open_receipt(*publisher, publish, targets);
  if (targets.empty()) return;
  if (presence_.has_changes()) {  // Who speaks was seen to come.
    presence_.take_changes_of(name, monotonic_ms(), [this](const auto& changes) { tell_presence(changes); });
  }
  deliver_.clear();
  ipc::Encoder encoder(deliver_);
  uint8_t flags = 0;
  if (rules.slow_reader == config::ChannelRules::SlowReader::Skip) flags |= ipc::kDeliverSkipsSlow;
  if (rules.history > 0 && (publish.flags & ipc::kPublishNoHistory) == 0) flags |= ipc::kDeliverIsKept;
  const ipc::Deliver deliver{.offset = channel.offset,
                             .except = publish.except,
                             .payload_kind = publish.payload_kind,
                             .flags = flags,
                             .channel = name,
                             .payload = publish.payload,
                             .origin = publish.origin,
                             .receipt_call = call,
                             .acknowledge_ms = publish.acknowledge_ms};
  ipc::Deliver::visit(encoder, deliver);
  targets.for_each([&](uint16_t slot) {
    Port& port = *ports_[slot];
    const bool was_missing = port.missing();
    if (!port.deliver(name, {channel.offset, channel.presence}, deliver_, queue_bytes_)) answer_for(call, slot);
    if (!was_missing && port.missing()) log_.warn("bus_queue_full", {{"worker", port.worker()}});
    mark(port);
  });
}

// The call that the workers answer with what became of the publication; 0: nobody wants to know, or all is told already.
uint64_t Bus::open_receipt(Port& publisher, const ipc::Publish& publish, const SlotSet& targets) {
  if (publish.receipt_ticket == 0) return 0;
  if (targets.empty()) {
    publisher.send(ipc::CallReply{.ticket = publish.receipt_ticket, .body = ipc::encode(ipc::Receipt{})});
    mark(publisher);
    return 0;
  }
  const auto call = calls_.open(publisher.slot(), publish.receipt_ticket, targets, monotonic_ms());
  if (call.ok()) return call.value();
  log_.warn("bus_calls_full");
  refuse_receipt(publisher, publish);
  return 0;
}

void Bus::refuse_receipt(Port& publisher, const ipc::Publish& publish) {
  if (publish.receipt_ticket != 0) refuse_call(publisher, {.ticket = publish.receipt_ticket});
}

// This worker is not asked any more.
void Bus::answer_for(uint64_t call, uint16_t slot) {
  CallTable::Due due;
  if (calls_.answer(call, slot, due)) answer(due, slot, false, {});
}

void Bus::acknowledge(const Port& port, uint64_t ticket, uint64_t offset, std::string_view epoch) {
  if (ticket != 0) acknowledgements_.push_back({port.slot(), port.worker(), ticket, offset, std::string(epoch)});
}

SlotSet Bus::targets_of(const Port& asker, const ipc::Call& call) const {
  SlotSet targets;
  if (call.target == ipc::Target::Heir) {
    if (const Port* heir = heir_of(asker)) targets.add(heir->slot());
    return targets;
  }
  for (const auto& port : ports_) {
    if (!port || !port->serving) continue;
    if (call.target == ipc::Target::All || port->worker() == call.worker) targets.add(port->slot());
  }
  return targets;
}

bool Bus::on_call(Port& port, const ipc::Call& call) {
  if (call.target > ipc::Target::Heir || call.ticket == 0) return false;
  if (call.body.size() > ipc::kCallBodyBytesMax) return false;
  const SlotSet targets = targets_of(port, call);
  if (targets.empty()) {
    refuse_call(port, call);
    return true;
  }
  const auto number = calls_.open(port.slot(), call.ticket, targets, monotonic_ms());
  if (!number.ok()) {
    log_.warn("bus_calls_full");
    refuse_call(port, call);
    return true;
  }
  targets.for_each([&](uint16_t slot) {
    Port& target = *ports_[slot];
    if (target.has_room(queue_bytes_)) {
      target.send(ipc::Request{number.value(), call.method, call.body});
      mark(target);
      return;
    }
    answer_for(number.value(), slot);
  });
  return true;
}

// The youngest: one that came with an upgrade, when the asker leaves because of it.
const Port* Bus::heir_of(const Port& asker) const {
  const Port* heir = nullptr;
  for (const auto& port : ports_) {
    if (!port || !port->serving || port->leaving || port.get() == &asker) continue;
    if (heir == nullptr || port->worker() > heir->worker()) heir = port.get();
  }
  return heir;
}

void Bus::stop(uint16_t slot, bool graceful) {
  if (Port* port = ports_[slot].get()) port->leaving = true;
  send(slot, ipc::Stop{graceful});
}

void Bus::refuse_call(Port& port, const ipc::Call& call) {
  port.send(ipc::CallReply{call.ticket, call.worker, 0, false, {}});
  mark(port);
}

bool Bus::on_reply(Port& port, const ipc::Reply& reply) {
  if (reply.body.size() > ipc::kCallBodyBytesMax) return false;
  CallTable::Due due;
  if (calls_.answer(reply.call, port.slot(), due)) answer(due, port.slot(), true, reply.body);
  return true;
}

void Bus::answer(const CallTable::Due& due, uint16_t from_slot, bool answered, std::string_view body) {
  Port* asker = ports_[due.asker].get();
  if (asker == nullptr) return;
  // Bodies are of the workers' choosing: an asker that doesn't read its bus does not get them.
  if (!asker->has_room(queue_bytes_)) {
    answered = false;
    body = {};
  }
  asker->send(ipc::CallReply{due.ticket, worker_of_[from_slot], due.remaining, answered, body});
  mark(*asker);
}

}  // namespace beamgate::master
