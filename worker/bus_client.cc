#include "worker/bus_client.h"

#include <utility>

#include "common/ipc/channel.h"

namespace beamgate {

using metrics::Metric;

BusClient::BusClient(uv::Loop& loop, record::Arena& arena, UniqueFd socket, ipc::Life& life, metrics::Page& metrics,
                     log::Log& log, BusControl& control)
    : socket_(std::move(socket)),
      outbox_(arena),
      inbox_(arena, life.now),
      life_(life),
      metrics_(metrics),
      log_(log),
      control_(control) {
  ipc::grow_send_buffer(socket_.get());
  auto watcher = uv::PollWatcher::open(loop, socket_.get(), [this](uv::PollWatcher::Ready ready) {
    on_ready(ready);
  });
  BG_ASSERT(watcher.ok());
  watcher_ = std::move(watcher).value();
}

BusClient::~BusClient() = default;

void BusClient::start(hub::Hub& hub, RemoteCalls& remote) {
  hub_ = &hub;
  remote_ = &remote;
  watcher_->watch(true, false);
}

bool BusClient::send_publish(const ipc::Publish& message) {
  if (!room_for(message.payload.size())) {
    full_ = true;
    return false;
  }
  send(message);
  return true;
}

bool BusClient::send_call(const ipc::Call& message) {
  if (!room_for(message.body.size())) return false;
  send(message);
  return true;
}

bool BusClient::adopt(const record::Arena& from) { return outbox_.copy_from(from) && inbox_.copy_from(from); }

void BusClient::end_turn() {
  if (lost_ || outbox_.empty()) return;
  const uint64_t before = outbox_.bytes();
  const auto flushed = outbox_.flush(socket_.get());
  if (!flushed.ok()) return lose();
  metrics_.add(Metric::BusBytesSent, before - outbox_.bytes());
  watcher_->watch(true, !flushed.value());
  if (full_ && outbox_.bytes() < kQueueBytesMax / 2) {
    full_ = false;
    hub_->on_room();
  }
}

void BusClient::on_ready(uv::PollWatcher::Ready ready) {
  if (ready.readable) {
    const uint64_t before = inbox_.bytes_received();
    const auto received = inbox_.receive(socket_.get(), [this](const ipc::Frame& frame) { return on_frame(frame); });
    metrics_.add(Metric::BusBytesReceived, inbox_.bytes_received() - before);
    if (!received.ok()) return lose();
  }
  if (ready.writable) end_turn();
}

// A frame that has killed two workers is not given to a third.
bool BusClient::is_poison() const {
  constexpr uint32_t kDeathsMax = 2;
  return life_.poison.deaths >= kDeathsMax && life_.poison.bus_position == life_.now.bus_position;
}

void BusClient::lose() {
  if (lost_) return;
  lost_ = true;
  watcher_->stop();
  hub_->on_bus_lost();
  remote_->on_bus_lost();
  control_.on_bus_lost();
}

namespace {

// Decodes one message and hands it on; false for a body that is not exactly one such message.
template <typename Message, typename Handle>
bool handle(const ipc::Frame& frame, Handle&& on_message) {
  Message message;
  if (!ipc::decode(frame.body, message)) return false;
  on_message(message);
  return true;
}

}  // namespace

bool BusClient::on_frame(const ipc::Frame& frame) {
  metrics_.add(Metric::BusFramesReceived);
  if (is_poison()) {
    log_.error("bus_frame_dead_lettered", {{"kind", static_cast<int>(frame.kind)}, {"bytes", frame.body.size()}});
    return true;
  }
  switch (frame.kind) {
    case ipc::Kind::Deliver:
      return handle<ipc::Deliver>(frame, [this](const auto& message) { hub_->on_deliver(message); });
    case ipc::Kind::InterestAck:
      return handle<ipc::InterestAck>(frame, [this](const auto& message) { hub_->on_interest_ack(message); });
    case ipc::Kind::ChannelState:
      return handle<ipc::ChannelState>(frame, [this](const auto& message) { hub_->on_channel_state(message); });
    case ipc::Kind::PresenceChange:
      return handle<ipc::PresenceChange>(frame, [this](const auto& message) { hub_->on_presence_change(message); });
    case ipc::Kind::UserChange:
      return handle<ipc::UserChange>(frame, [this](const auto& message) { hub_->on_user_change(message); });
    case ipc::Kind::ChannelChange:
      return handle<ipc::ChannelChange>(frame, [this](const auto& message) { hub_->on_channel_change(message); });
    case ipc::Kind::UsersState:
      return handle<ipc::UsersState>(frame, [this](const auto& message) { hub_->on_users_state(message); });
    case ipc::Kind::PublishAck:
      return handle<ipc::PublishAck>(frame, [this](const auto& message) { hub_->on_publish_ack(message); });
    case ipc::Kind::Gap:
      return handle<ipc::Gap>(frame, [this](const auto& message) { hub_->on_gap(message); });
    case ipc::Kind::Missed:
      return handle<ipc::Missed>(frame, [this](const auto& message) { hub_->on_missed(message); });
    case ipc::Kind::Request:
      return handle<ipc::Request>(frame, [this](const auto& message) { remote_->on_request(message); });
    case ipc::Kind::CallReply:
      return handle<ipc::CallReply>(frame, [this](const auto& message) { remote_->on_call_reply(message); });
    case ipc::Kind::Prepare:
      return handle<ipc::Prepare>(
          frame, [&](const auto& message) { control_.on_prepare(message, *frame.descriptors); });
    case ipc::Kind::Commit:
      return handle<ipc::Commit>(frame, [this](const auto& message) { control_.on_commit(message.generation); });
    case ipc::Kind::Abort:
      return handle<ipc::Abort>(frame, [this](const auto& message) { control_.on_abort(message.generation); });
    case ipc::Kind::Stop:
      return handle<ipc::Stop>(frame, [this](const auto& message) { control_.on_stop(message.graceful); });
    case ipc::Kind::FarewellAck:
      return handle<ipc::FarewellAck>(frame, [this](const auto&) { control_.on_farewell_ack(); });
    case ipc::Kind::ReopenLogs:
      return handle<ipc::ReopenLogs>(frame, [&](const auto&) { control_.on_reopen_logs(*frame.descriptors); });
    case ipc::Kind::MoveOut:
      return handle<ipc::MoveOut>(
          frame, [&](const auto& message) { control_.on_move_out(message, *frame.descriptors); });
    case ipc::Kind::MoveIn:
      return handle<ipc::MoveIn>(frame, [&](const auto&) { control_.on_move_in(*frame.descriptors); });
    case ipc::Kind::Recount:
      return handle<ipc::Recount>(frame, [this](const auto&) { on_recount(); });
    case ipc::Kind::Recounted:
      return handle<ipc::Recounted>(frame, [this](const auto&) {
        hub_->on_recounted();
        remote_->on_recounted();
      });
    default:
      return false;  // Not for a worker.
  }
}

void BusClient::on_recount() {
  hub_->on_recount();
  remote_->on_recount();
  control_.on_recount();
}

}  // namespace beamgate
