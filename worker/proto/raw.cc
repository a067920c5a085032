#include "worker/proto/raw.h"

#include <algorithm>
#include <utility>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "worker/hook/grip_events.h"
#include "worker/hub/hub.h"
#include "worker/net/connections.h"
#include "worker/proto/message_call.h"
#include "worker/settings.h"

namespace beamgate::proto {
namespace {

constexpr int64_t kBusyMs = 100;

}  // namespace

using metrics::Metric;
using record::Record;

Raw::Raw(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets, ConnectionOps& ops,
         ChannelPolicy& policy)
    : context_(context),
      ops_(ops),
      policy_(policy),
      queue_(context.arena),
      subjects_(context),
      events_(context, subjects_),
      bus_wait_(context),
      runner_(context, ops, bus_wait_),
      handshake_(context, exchanges, websockets, ops, policy, runner_, subjects_),
      messages_(context, ops, runner_, subjects_, *this),
      pulse_(context.loop, [this](record::ConnId id) { pulse_grip(id); }),
      timed_(context.loop, [this](record::ConnId id) { send_timed(id); }) {}

const std::shared_ptr<const config::Webhook>& Raw::endpoint_of(const Record& record) const {
  static const std::shared_ptr<const config::Webhook> kNone;
  const config::Location* location = context_.settings.location(record.location_id);
  return location == nullptr ? kNone : location->websocket.webhook;
}

void Raw::on_open(Record& record) {
  send_newest(record);
  const auto& endpoint = endpoint_of(record);
  if (endpoint == nullptr) return;
  if (endpoint->grip) return schedule_grip(record);
  events_.connected(record, endpoint);
}

void Raw::on_message(Record& record, ws::Opcode opcode, std::span<char> payload) {
  if (record.ws.close != record::CloseState::Open) return;
  const bool binary = opcode == ws::Opcode::Binary;
  const std::string_view bytes(payload.data(), payload.size());
  const auto& endpoint = endpoint_of(record);
  if (endpoint != nullptr) {
    return messages_.on_message(record, endpoint, binary, bytes);
  }
  publish(record, binary, bytes);
}

// --- What was published before it came, of channels with a cache.

void Raw::on_joined(Record& record, std::string_view, const ipc::ChannelState& state) {
  if (!state.answered) {
    return ops_.close(record, Metric::ClosesMissed, ws::kCloseTryAgainLater, "no room for a subscription");
  }
  send_past(context_.connections.id_of(record), state);
}

// The channels of its handshake, when nothing could be sent yet.  What is newer than the subscription has been delivered.
void Raw::send_newest(Record& record) {
  const record::ConnId id = context_.connections.id_of(record);
  for (const hub::Hub::Position& position : context_.hub.positions_of(record)) {
    if (!policy_.rules_of(position.channel).cache) continue;
    const ipc::Ask question{.channel = position.channel, .wants = ipc::kStateNewest, .publications_max = 1};
    context_.hub.ask(question, [this, id, offset = position.offset](const ipc::ChannelState& state) {
      if (!state.publications.empty() && state.publications.front().offset <= offset) send_past(id, state);
    });
  }
}

void Raw::send_past(record::ConnId id, const ipc::ChannelState& state) {
  for (const ipc::Past& past : state.publications) {
    Record* record = ops_.find_open(id);
    if (record == nullptr || !ops_.send(*record, past.payload_kind == ipc::PayloadKind::Binary, past.payload)) return;
  }
}

bool Raw::may_move(const Record& record) { return !ops_.waits(record) && messages_.may_move(record); }

void Raw::on_adopted(Record& record) {
  schedule_grip(record);
  if (record.hook_messages == 0) return;
  const auto& endpoint = endpoint_of(record);
  if (endpoint != nullptr) return messages_.begin(record, endpoint);
  publish_waiting(context_.connections.id_of(record));
}

void Raw::on_given(Record& record) {
  messages_.on_given(record);
  queue_.clear(record);
}

void Raw::on_gone(Record& record, const ws::Ending& ending) {
  context_.hub.unsubscribe_all(record);
  ops_.forget(record);
  const auto& endpoint = endpoint_of(record);
  if (endpoint == nullptr) {
    for (; record.hook_messages > 0; queue_.pop(record)) {
      const HookQueue::Message message = queue_.front(record);
      if (publish_now(record, message.binary, message.bytes)) continue;
      context_.metrics.add(Metric::HubGaps, record.hook_messages);
      break;
    }
    return queue_.clear(record);
  }
  messages_.on_gone(record, endpoint);
  if (endpoint->grip) return tell_grip(record, endpoint, ending);
  events_.disconnected(record, endpoint, ending);
}

// Of a connection that its backend has detached itself from, nobody is told any more.
bool Raw::handle(Record& record, const HookQueue::Message&) {
  const auto& endpoint = endpoint_of(record);
  return endpoint != nullptr && endpoint->grip && hook::GripState::parse(ops_.state_of(record)).detached;
}

// Asked for each subscriber of a publication, of which most have no filters.
bool Raw::wants(const Record& record, const hub::Publication& publication) {
  const std::string_view state = ops_.state_of(record);
  if (!hook::GripState::may_filter(state)) return true;
  const auto& endpoint = endpoint_of(record);
  if (endpoint == nullptr || !endpoint->grip) return true;
  if (meta_.text != publication.origin.meta) meta_ = hook::GripMeta::parse(publication.origin.meta);
  return hook::grip_wants(
      hook::GripState::parse(state), publication.channel, meta_,
      [&](std::string_view channel) { return context_.hub.is_subscribed(record, channel); });
}

void Raw::schedule_grip(const Record& record) {
  const auto& endpoint = endpoint_of(record);
  if (endpoint == nullptr || !endpoint->grip) return;
  const hook::GripState state = hook::GripState::parse(ops_.state_of(record));
  if (state.keepalive_s > 0 && !state.detached) {
    pulse_.schedule(context_.connections.id_of(record), int64_t{state.keepalive_s} * 1'000);
  }
  const int64_t next_ms = state.next_ms();
  if (next_ms != 0) timed_.schedule(context_.connections.id_of(record), std::max<int64_t>(next_ms - wall_ms(), 0));
}

// A timer may be a little early, or of a message that has been replaced since: it looks again then.
void Raw::send_timed(record::ConnId id) {
  Record* record = ops_.find_open(id);
  if (record == nullptr || record->ws.close != record::CloseState::Open) return;
  // The answer to a call brings a state that was made of today's.
  if (messages_.is_under_way(*record)) return timed_.schedule(id, kBusyMs);
  hook::GripState state = hook::GripState::parse(ops_.state_of(*record));
  const std::vector<hook::Message> due = state.take_due(wall_ms());
  if (!due.empty() && !ops_.set_state(*record, state.dump()).ok()) return;
  for (const hook::Message& message : due) {
    record = ops_.find_open(id);
    if (record == nullptr || !ops_.send(*record, message.binary, message.bytes)) return;
  }
  record = ops_.find_open(id);
  if (record != nullptr) schedule_grip(*record);
}

// What is told anyway is as good; the answer to it says when to look again.
void Raw::pulse_grip(record::ConnId id) {
  Record* record = ops_.find_open(id);
  const auto& endpoint = record == nullptr ? nullptr : endpoint_of(*record);
  if (endpoint != nullptr && endpoint->grip) messages_.poke(*record, endpoint);
}

// GRIP has no batches: the backend is told at once, once, as its protocol says it.
void Raw::tell_grip(const Record& record, const Endpoint& endpoint, const ws::Ending& ending) {
  if (hook::GripState::parse(ops_.state_of(record)).detached) return;
  std::string close;
  if (ending.code != ws::kCloseAbnormal) {
    close.resize(2);
    store_be(close.data(), ending.code == ws::kCloseNoStatus ? uint16_t{ws::kCloseNormal} : ending.code);
  }
  hook::Call call{.endpoint = endpoint, .type = "beamgate.disconnected", .subject = subjects_.of(record), .body = close};
  context_.webhooks.call(call, [](const hook::Reply&) {});
}

// --- With an application: its reply's actions are done; 401 and 403 end the connection.

hook::Webhooks::CallId Raw::call(const Endpoint& endpoint, const hook::Subject& subject,
                                 const HookQueue::Message& message, hook::Webhooks::OnReply done) {
  return call_message(context_.webhooks, endpoint, subject, message, std::move(done));
}

// Only a backend that speaks GRIP takes less than all.
hook::Webhooks::CallId Raw::call_again(const Endpoint& endpoint, const hook::Subject& subject,
                                       std::span<const HookQueue::Message> messages, uint64_t again,
                                       hook::Webhooks::OnReply done) {
  std::string body;
  for (const HookQueue::Message& message : messages) {
    hook::write_grip_event(message.binary ? hook::GripEvent::Kind::Binary : hook::GripEvent::Kind::Text, message.bytes, body);
  }
  std::string fields(subject.forward_fields);
  fields.append("content-bytes-replayed: ").append(std::to_string(again)).append("\r\n");
  hook::Call call{.endpoint = endpoint, .type = "beamgate.message", .subject = subject,
                  .content_type = hook::kGripEventsType, .body = body, .refusals = hook::Refusals::Denials};
  call.subject.forward_fields = fields;
  const std::string id = message_id(subject.uid, messages.front().sequence);
  call.id = id;
  return context_.webhooks.call(call, std::move(done));
}

void Raw::act(Record& record, const HookQueue::Message&, const hook::Reply& reply, OnDone done) {
  runner_.run(record, std::make_shared<hook::Actions>(reply.actions), [this, done = std::move(done)](Record* open) {
    if (open != nullptr) schedule_grip(*open);
    done(open);
  });
}

std::optional<MessageDialect::CloseWith> Raw::refuse(Record&, const Endpoint& endpoint, const HookQueue::Message&,
                                                     const hook::Reply& reply) {
  const bool answered = reply.outcome == hook::Outcome::Answered;
  if (answered && (reply.status == 401 || reply.status == 403)) {
    return CloseWith{Metric::ClosesApplication, ws::kClosePolicyViolation, "denied"};
  }
  if (endpoint->on_error != config::Webhook::OnError::Allow) {
    return CloseWith{Metric::ClosesUnreachable, ws::kCloseInternalError, "the application can't be reached"};
  }
  context_.metrics.add(Metric::MessagesDroppedApplication);
  return std::nullopt;
}

// --- Without an application.

void Raw::publish(Record& record, bool binary, std::string_view bytes) {
  const std::string_view channel = subjects_.publish_channel_of(record);
  constexpr size_t kAnySize = 0;  // websocket_message_max is its limit, where the bus can carry that.
  if (channel.empty()) return policy_.refused(ChannelPolicy::Publishing::Denied);
  if (bytes.size() > ipc::kPublicationBytesMax) return policy_.refused(ChannelPolicy::Publishing::TooLarge);
  if (policy_.may_publish(channel, kAnySize) != ChannelPolicy::Publishing::Allowed) return;
  if (record.hook_messages == 0 && publish_now(record, binary, bytes)) return;
  if (!queue_.push(record, binary, ++record.hook_sequence, bytes)) {
    return ops_.close(record, Metric::ClosesMemory, ws::kCloseTryAgainLater, "no memory");
  }
  if (record.hook_messages > 1) return;
  const record::ConnId id = context_.connections.id_of(record);
  bus_wait_.wait(id, [this, id] { publish_waiting(id); });
}

bool Raw::publish_now(const Record& record, bool binary, std::string_view bytes) {
  hub::PublishOptions options;
  options.kind = binary ? ipc::PayloadKind::Binary : ipc::PayloadKind::Text;
  return context_.hub.publish(subjects_.publish_channel_of(record), bytes, options);
}

void Raw::publish_waiting(record::ConnId id) {
  Record* record = ops_.find_open(id);
  if (record == nullptr) return;
  for (; record->hook_messages > 0; queue_.pop(*record)) {
    const HookQueue::Message message = queue_.front(*record);
    if (publish_now(*record, message.binary, message.bytes)) continue;
    return bus_wait_.wait(id, [this, id] { publish_waiting(id); });
  }
}

}  // namespace beamgate::proto
