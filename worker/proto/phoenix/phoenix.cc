#include "worker/proto/phoenix/phoenix.h"

#include <utility>

#include "worker/hub/hub.h"
#include "worker/net/connections.h"
#include "worker/proto/phoenix/application_reply.h"
#include "worker/proto/phoenix/frames.h"
#include "worker/proto/phoenix/handshake.h"
#include "worker/proto/phoenix/payload.h"
#include "worker/settings.h"
#include "worker/ws/handshake.h"

namespace beamgate::proto::phoenix {

using metrics::Metric;
using record::Record;

Phoenix::Phoenix(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets, ConnectionOps& ops,
                 ChannelPolicy& policy)
    : context_(context),
      exchanges_(exchanges),
      websockets_(websockets),
      ops_(ops),
      queue_(context.arena),
      subjects_(context),
      events_(context, subjects_),
      bus_wait_(context),
      runner_(context, ops, bus_wait_),
      admission_(context, exchanges, ops, subjects_),
      messages_(context, ops, runner_, subjects_, *this),
      topics_(context, websockets, ops, policy),
      polls_(context, exchanges, websockets, ops, admission_, runner_) {
  ops.set_orders(record::Protocol::Phoenix, *this);
}

const Phoenix::Endpoint& Phoenix::endpoint_of(const Record& record) const {
  static const Endpoint kNone;
  const config::Location* location = context_.settings.location(record.location_id);
  return location == nullptr ? kNone : location->websocket.webhook;
}

MessageDialect::Endpoint Phoenix::application_for(const Record& record, const HookQueue::Message& raw) const {
  const Result<Message> parsed = parse_message(raw.binary, raw.bytes);
  return parsed ? topics_.rules().endpoint_of(record, parsed.value()) : nullptr;
}

// --- Coming and going.

bool Phoenix::on_request(http::Exchange& exchange) {
  if (!LongPolls::is_meant(exchange.request())) return false;
  polls_.handle(exchange);
  return true;
}

void Phoenix::on_handshake(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  if (!speaks_version(request))
    return admission_.refuse(exchange, exchange.record(), *this, Metric::WebSocketHandshakesMalformed, 403,
                             kVersionText);
  const Credentials credentials = credentials_of(request);
  if (!credentials.accepted) {
    return admission_.refuse(exchange, exchange.record(), *this, Metric::WebSocketHandshakesToken, 403, kTokenText);
  }
  admission_.begin(exchange, exchange.record(), *this,
                   {.user = credentials.user, .connect_fields = token_fields(credentials.token)});
}

void Phoenix::let_in(http::Exchange& exchange, Record& record, SharedActions actions,
                     std::vector<http::ResponseField> fields) {
  std::erase_if(fields,
                [](const http::ResponseField& field) { return field.name == "sec-websocket-protocol"; });
  if (ws::offers_subprotocol(exchange.request(), kSubprotocol)) {
    fields.push_back({"Sec-WebSocket-Protocol", std::string(kSubprotocol)});
  }
  const SharedActions rest = without_topics(*actions);
  runner_.prepare(record, *rest);
  ops_.when_confirmed(record, [this, id = exchange.id(), rest, fields](Record* confirmed) {
    if (confirmed != nullptr) accept(id, rest, fields);
  });
}

void Phoenix::accept(http::ExchangeId id, const SharedActions& actions,
                     const std::vector<http::ResponseField>& fields) {
  http::Exchange* exchange = exchanges_.find(id);
  if (exchange == nullptr || !websockets_.accept(*exchange, fields)) return;
  Record* open = ops_.find_open(id.connection);
  if (open != nullptr) runner_.complete(*open, actions, [](Record*) {});
}

// Codes after which clients come back; earlier versions of phoenix.js don't after 1000.
ws::CloseText Phoenix::closes_with(ws::Cause cause) const {
  switch (cause) {
    case ws::Cause::Shutdown:
    case ws::Cause::Restart:
      return {ws::kCloseServiceRestart, {}};
    case ws::Cause::SlowReader:
      return {ws::kCloseGoingAway, "too slow"};
    case ws::Cause::Silence:
      return {ws::kCloseGoingAway, "idle"};
    case ws::Cause::TooFast:
      return {ws::kClosePolicyViolation, "too fast"};
  }
  return {};
}

void Phoenix::on_open(Record& record) {
  const Endpoint& endpoint = endpoint_of(record);
  if (endpoint != nullptr) events_.connected(record, endpoint);
}

bool Phoenix::may_move(const Record& record) {
  return !topics_.awaits_receipts(record) && messages_.may_move(record);
}

void Phoenix::on_adopted(Record& record) {
  if (record.hook_messages > 0) go_on(context_.connections.id_of(record));
}

void Phoenix::on_given(Record& record) {
  messages_.on_given(record);
  topics_.forget(record);
  queue_.clear(record);
}

void Phoenix::on_gone(Record& record, const ws::Ending& ending) {
  const Endpoint& endpoint = endpoint_of(record);
  if (record.hook_messages > 0) messages_.on_gone(record, application_for(record, queue_.front(record)));
  queue_.clear(record);
  topics_.forget(record);
  context_.hub.unsubscribe_all(record);
  ops_.forget(record);
  if (endpoint != nullptr) events_.disconnected(record, endpoint, ending);
}

// --- Messages.

void Phoenix::on_message(Record& record, ws::Opcode opcode, std::span<char> payload) {
  if (record.ws.close != record::CloseState::Open) return;
  const bool binary = opcode == ws::Opcode::Binary;
  const std::string_view bytes(payload.data(), payload.size());
  const Result<Message> message = parse_message(binary, bytes);
  if (!message) return ops_.close(record, Metric::ClosesProtocolError, ws::kCloseProtocolError, message.error().text);
  if (message.value().topic == kHeartbeatTopic && message.value().event == kHeartbeat) {
    return topics_.reply(record, message.value(), Status::Ok, "{}");
  }
  const Endpoint endpoint = topics_.rules().endpoint_of(record, message.value());
  if (endpoint != nullptr) return messages_.on_message(record, endpoint, binary, bytes);
  if (record.hook_messages == 0 && handle(record, {binary, 0, bytes})) return;
  if (!queue_.push(record, binary, ++record.hook_sequence, bytes)) {
    return ops_.close(record, Metric::ClosesMemory, ws::kCloseTryAgainLater, "no memory");
  }
  if (record.hook_messages == 1) wait_for_bus(record);
}

// A client whose heartbeat or leave isn't answered would take the connection for dead.
void Phoenix::on_too_fast(Record& record, ws::Opcode opcode, std::span<char> payload) {
  const Result<Message> message = parse_message(opcode == ws::Opcode::Binary, {payload.data(), payload.size()});
  const bool free = !message || message.value().topic == kHeartbeatTopic || message.value().event == kLeave;
  if (free) return on_message(record, opcode, payload);
  topics_.reply(record, message.value(), Status::Error, reason_json("rate limited"));
}

void Phoenix::on_joined(Record& record, std::string_view tag, const ipc::ChannelState& state) {
  topics_.joined(record, tag, state);
}

void Phoenix::wait_for_bus(Record& record) {
  const record::ConnId id = context_.connections.id_of(record);
  bus_wait_.wait(id, [this, id] { go_on(id); });
}

// What had found the bus full, or what a worker before this one had not done with.
void Phoenix::go_on(record::ConnId id) {
  for (Record* record = ops_.find_open(id); record != nullptr; record = ops_.find_open(id)) {
    if (record->ws.close != record::CloseState::Open) queue_.clear(*record);
    if (record->hook_messages == 0) return;
    if (!handle(*record, queue_.front(*record))) {
      const Endpoint endpoint = application_for(*record, queue_.front(*record));
      return endpoint != nullptr ? messages_.begin(*record, endpoint) : wait_for_bus(*record);
    }
    record = ops_.find_open(id);
    if (record == nullptr) return;
    if (record->hook_messages > 0) queue_.pop(*record);
  }
}

bool Phoenix::handle(Record& record, const HookQueue::Message& raw) {
  const Result<Message> parsed = parse_message(raw.binary, raw.bytes);
  BG_ASSERT(parsed.ok());  // As when it was received.
  const Message& message = parsed.value();
  if (message.event == kJoin) return handle_join(record, message);
  switch (topics_.standing_of(record, message)) {
    case Topics::Standing::Stale:
      return true;
    case Topics::Standing::Out:
      if (message.event == kLeave) {
        topics_.reply(record, message, Status::Ok, "{}");
        return true;
      }
      break;
    case Topics::Standing::Joining:
    case Topics::Standing::In:
      if (message.event == kLeave) {
        topics_.leave(record, message);
        return true;
      }
      break;
  }
  return handle_push(record, message);
}

bool Phoenix::handle_join(Record& record, const Message& message) {
  const bool asked = topics_.rules().endpoint_of(record, message) != nullptr;
  if (!topics_.may_join(record, message, asked)) return true;
  if (asked) return false;
  topics_.join(record, message, "{}");
  return true;
}

bool Phoenix::handle_push(Record& record, const Message& message) {
  if (topics_.standing_of(record, message) != Topics::Standing::In) {
    context_.metrics.add(Metric::PublicationsRefusedDenied);
    topics_.reply(record, message, Status::Error, reason_json("unmatched topic"));
    return true;
  }
  const bool asked = topics_.rules().endpoint_of(record, message) != nullptr;
  if (asked && !topics_.rules().is_publication(record, message)) {
    if (!is_reserved(message.event)) return false;
    context_.metrics.add(Metric::PublicationsRefusedEvent);
    topics_.reply(record, message, Status::Error, reason_json("invalid event"));
    return true;
  }
  if (topics_.refused_to_publish(record, message)) return true;
  if (asked) return false;
  if (topics_.publish(record, message, "{}")) return true;
  if (!messages_.is_under_way(record)) return false;
  topics_.not_published(record, message);  // It can't wait in two queues.
  return true;
}

// --- What the server API does to a connection.

Result<hub::Subscribed> Phoenix::subscribe(Record&, std::string_view) {
  return Error{Code::Invalid, 0, "a Phoenix client joins by itself"};
}

bool Phoenix::unsubscribe(Record& record, std::string_view channel) {
  return topics_.end(record, channel, kClose, "{}");
}

std::string Phoenix::message(bool binary, std::string_view bytes) const {
  if (!binary) {
    return text_broadcast(kHeartbeatTopic, kDefaultEvent, json_of(ipc::PayloadKind::Text, bytes));
  }
  return text_of_binary(binary_broadcast(kHeartbeatTopic, kDefaultEvent, bytes));
}

// --- The application's word.

hook::Webhooks::CallId Phoenix::call(const Endpoint& endpoint, const hook::Subject& subject,
                                     const HookQueue::Message& raw, hook::Webhooks::OnReply done) {
  const Result<Message> parsed = parse_message(raw.binary, raw.bytes);
  BG_ASSERT(parsed.ok());
  const Message& message = parsed.value();
  const bool join = message.event == kJoin;
  const std::string id = message_id(subject.uid, raw.sequence);
  hook::Call call;
  call.endpoint = endpoint;
  const Record* record = context_.connections.find_uid(subject.uid);
  const bool publication = record != nullptr && topics_.rules().is_publication(*record, message);
  call.type = join ? "beamgate.subscribe" : publication ? "beamgate.publish" : "beamgate.message";
  call.subject = subject;
  call.channel = message.topic;
  if (!join) call.event = message.event;
  call.id = id;
  call.content_type = message.binary ? "application/octet-stream" : "application/json";
  call.body = message.payload;
  return context_.webhooks.call(call, std::move(done));
}

void Phoenix::act(Record& record, const HookQueue::Message& raw, const hook::Reply& reply, OnDone done) {
  const Result<Message> parsed = parse_message(raw.binary, raw.bytes);
  BG_ASSERT(parsed.ok());
  const SharedActions rest = without_topics(reply.actions);
  const record::ConnId id = context_.connections.id_of(record);
  runner_.prepare(record, *rest);
  answer(record, parsed.value(), reply.actions);
  Record* open = ops_.find_open(id);
  if (open == nullptr) return runner_.publish_only(rest), done(nullptr);
  runner_.complete(*open, rest, std::move(done));
}

void Phoenix::answer(Record& record, const Message& message, const hook::Actions& actions) {
  const record::ConnId id = context_.connections.id_of(record);
  const Response response = response_of(actions);
  const std::string_view text = response.binary ? std::string_view("{}") : std::string_view(response.bytes);
  const std::vector<Push> pushes = pushes_of(message, actions);
  if (message.event == kJoin) {
    topics_.join(record, message, text, pushes);
  } else if (topics_.rules().is_publication(record, message)) {
    publish_allowed(record, message, text, pushes);
  } else {
    if (!response.binary) {
      topics_.reply(record, message, Status::Ok, response.bytes);
    } else if (message.ref != kNoRef) {
      topics_.send(
          record, binary_reply(message.join_ref, message.ref, message.topic, Status::Ok, response.bytes), true);
    }
    topics_.send(record, pushes);
  }
  for (const std::string& topic : actions.unsubscribe) {
    if (ops_.find_open(id) != nullptr) topics_.end(record, topic, kClose, "{}");
  }
}

std::optional<MessageDialect::CloseWith> Phoenix::refuse(Record& record, const Endpoint& endpoint,
                                                         const HookQueue::Message& raw,
                                                         const hook::Reply& reply) {
  const Result<Message> parsed = parse_message(raw.binary, raw.bytes);
  BG_ASSERT(parsed.ok());
  const bool unusable = reply.outcome != hook::Outcome::Answered || reply.status >= 500;
  const bool allowed = unusable && endpoint->on_error == config::Webhook::OnError::Allow;
  const Message& message = parsed.value();
  if (allowed && message.event == kJoin) {
    topics_.join(record, message, "{}");
  } else if (allowed && topics_.rules().is_publication(record, message)) {
    publish_allowed(record, message, "{}");
  } else {
    count_refused(record, message, unusable);
    topics_.reply(record, message, Status::Error, refusal_of(reply));
  }
  return std::nullopt;
}

void Phoenix::count_refused(const Record& record, const Message& message, bool unreachable) {
  if (message.event == kJoin) {
    context_.metrics.add(unreachable ? Metric::SubscriptionsRefusedUnreachable
                                     : Metric::SubscriptionsRefusedApplication);
  } else if (topics_.rules().is_publication(record, message)) {
    context_.metrics.add(unreachable ? Metric::PublicationsRefusedUnreachable : Metric::PublicationsRefusedApplication);
  } else if (unreachable) {
    context_.metrics.add(Metric::MessagesDroppedApplication);
  }
}

void Phoenix::publish_allowed(Record& record, const Message& message, std::string_view response,
                              const std::vector<Push>& pushes) {
  if (!topics_.publish(record, message, response, pushes)) topics_.not_published(record, message);
}

// A push into a topic that it was in; whatever else it has asked for was for itself, or is no longer said by anybody.
bool Phoenix::outlives_client(const Record& record, const HookQueue::Message& raw) {
  const Result<Message> parsed = parse_message(raw.binary, raw.bytes);
  BG_ASSERT(parsed.ok());
  const Message& message = parsed.value();
  return message.event != kJoin && !is_reserved(message.event) && !topics_.rules().is_publication(record, message) &&
         topics_.standing_of(record, message) == Topics::Standing::In;
}

}  // namespace beamgate::proto::phoenix
