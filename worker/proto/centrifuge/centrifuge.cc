#include "worker/proto/centrifuge/centrifuge.h"

#include <utility>

#include "common/base/clock.h"
#include "worker/net/connections.h"
#include "worker/proto/centrifuge/session.h"
#include "worker/proto/centrifuge/shapes.h"

namespace beamgate::proto::centrifuge {

using metrics::Metric;
using record::Record;

Centrifuge::Centrifuge(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets, ConnectionOps& ops,
                       ChannelPolicy& policy)
    : context_(context),
      exchanges_(exchanges),
      websockets_(websockets),
      ops_(ops),
      sender_(websockets),
      access_(context, policy),
      subjects_(context),
      bus_wait_(context),
      runner_(context, ops, bus_wait_),
      admission_(context, exchanges, ops, subjects_),
      events_(context, subjects_),
      alarms_(context.loop, [this](record::ConnId id) { on_alarm(id); }),
      subscriptions_(context, ops, websockets, access_, alarms_),
      queries_(context, ops, websockets, access_),
      calls_(context, ops, websockets, runner_, subjects_, access_, subscriptions_, queries_),
      connecting_(context, ops, websockets, access_, subscriptions_, alarms_,
                  [this](Record& record, std::string_view rest) { run_commands(record, rest); }) {
  ops.set_orders(record::Protocol::Centrifuge, *this);
}

std::shared_ptr<const config::Webhook> Centrifuge::webhook_of(const Record& record) const {
  const config::WebSocketAction* action = access_.action_of(record);
  return action == nullptr ? nullptr : action->webhook;
}

// --- Handshake.

// Channels are joined when the client says "connect": before, it could not tell what a publication is.
void Centrifuge::let_in(http::Exchange& exchange, Record& record, SharedActions actions,
                        std::vector<http::ResponseField> fields) {
  auto rest = std::make_shared<hook::Actions>(*actions);
  std::vector<std::string> channels = std::move(rest->subscribe);
  rest->subscribe.clear();
  for (const config::Template& name : exchange.request().location->websocket.subscribe) {
    http::expand(name, exchange.request(), record, channels.emplace_back());
    if (!hub::Hub::valid_channel(channels.back())) {
      return admission_.refuse(exchange, record, *this, Metric::WebSocketHandshakesChannel, 400,
                               "This is no name of a channel to subscribe to.\n");
    }
    const bool named_by_client = !name.constant() && exchange.request().location->websocket.webhook == nullptr;
    if (named_by_client && !access_.is_open(record, channels.back())) {
      return admission_.refuse(exchange, record, *this, Metric::WebSocketHandshakesChannel, 403,
                               "This channel is not open.\n");
    }
  }
  runner_.prepare(record, *rest);
  ops_.when_confirmed(record, [this, id = exchange.id(), rest, fields, channels = std::move(channels)](Record* open) {
    if (open != nullptr) accept(id, rest, fields, channels);
  });
}

void Centrifuge::accept(http::ExchangeId id, SharedActions actions, const std::vector<http::ResponseField>& fields,
                        const std::vector<std::string>& channels) {
  http::Exchange* exchange = exchanges_.find(id);
  if (exchange == nullptr) return;
  if (!channels.empty() && !save_session(context_.arena, exchange->record(), {.channels = channels})) {
    return admission_.refuse(*exchange, exchange->record(), *this, Metric::WebSocketHandshakesMemory, 503,
                             "No memory.\n");
  }
  if (!websockets_.accept(*exchange, fields)) return;
  Record* open = ops_.find_open(id.connection);
  if (open != nullptr) runner_.complete(*open, std::move(actions), [](Record*) {});
}

void Centrifuge::on_open(Record& record) {
  alarms_.set(context_.connections.id_of(record), wall_ms() + kStaleMs);
  const auto webhook = webhook_of(record);
  if (webhook != nullptr) events_.connected(record, webhook);
}

// --- Commands.

void Centrifuge::on_message(Record& record, ws::Opcode opcode, std::span<char> payload) {
  if (opcode == ws::Opcode::Binary) return sender_.close(record, Metric::ClosesProtocolError, kInappropriateProtocol);
  run_commands(record, {payload.data(), payload.size()});
}

void Centrifuge::on_too_fast(Record& record, ws::Opcode opcode, std::span<char> payload) {
  if (opcode == ws::Opcode::Binary) return on_message(record, opcode, payload);
  const record::ConnId id = context_.connections.id_of(record);
  CommandReader reader({payload.data(), payload.size()});
  Command command;
  while (reader.next(command) == CommandReader::Outcome::Command) {
    if (command.id != 0) sender_.error(record, command.id, ErrorCode::TooManyRequests);
    if (ops_.find_open(id) == nullptr) return;
  }
}

void Centrifuge::run_commands(Record& record, std::string_view frame) {
  const record::ConnId id = context_.connections.id_of(record);
  CommandReader reader(frame);
  Command command;
  while (record.ws.close == record::CloseState::Open) {
    const auto outcome = reader.next(command);
    if (outcome == CommandReader::Outcome::End) return;
    if (outcome == CommandReader::Outcome::Malformed) {
      return sender_.close(record, Metric::ClosesProtocolError, kBadRequest);
    }
    // What follows "connect" waits until it is done.
    if (command.method == Method::Connect) return connecting_.connect(record, command, reader.rest());
    run(record, command);
    if (ops_.find_open(id) == nullptr) return;
  }
}

void Centrifuge::run(Record& record, const Command& command) {
  if (command.method == Method::Pong) return;
  if (load_session(context_.arena, record).state != Session::State::Connected) {
    return sender_.close(record, Metric::ClosesProtocolError, kBadRequest);
  }
  std::shared_ptr<const config::Webhook> webhook;
  switch (command.method) {
    case Method::Subscribe:
      webhook = subscriptions_.subscribe(record, command);
      break;
    case Method::Publish:
      webhook = queries_.publish(record, command);
      break;
    case Method::Unsubscribe:
      calls_.withdraw(record, command);
      return subscriptions_.unsubscribe(record, command);
    case Method::Presence:
      return queries_.presence(record, command);
    case Method::PresenceStats:
      return queries_.presence_stats(record, command);
    case Method::History:
      return queries_.history(record, command);
    case Method::Rpc:
    case Method::Send:
      return ask_application(record, command);
    case Method::Refresh:
      return connecting_.refresh(record, command);
    case Method::SubRefresh:
      return subscriptions_.refresh(record, command);
    case Method::Unknown:
      return sender_.error(record, command.id, ErrorCode::MethodNotFound);
    case Method::Connect:
    case Method::Pong:
      return;
  }
  if (webhook != nullptr) calls_.queue(record, webhook, command);
}

void Centrifuge::ask_application(Record& record, const Command& command) {
  const auto webhook = webhook_of(record);
  if (webhook != nullptr) return calls_.queue(record, webhook, command);
  if (command.method == Method::Rpc) sender_.error(record, command.id, ErrorCode::NotAvailable);
}

void Centrifuge::on_joined(Record& record, std::string_view tag, const ipc::ChannelState& state) {
  subscriptions_.on_joined(record, tag, state);
}

void Centrifuge::on_alarm(record::ConnId id) {
  Record* record = ops_.find_open(id);
  if (record == nullptr) return;
  if (load_session(context_.arena, *record).state == Session::State::Fresh) {
    return sender_.close(*record, Metric::ClosesIdle, kStale);
  }
  subscriptions_.check_expiry(*record);
  connecting_.check_expiry(*record);
}

// --- Moves, successors and ends.

bool Centrifuge::may_move(const Record& record) {
  return !ops_.waits(record) && !connecting_.is_under_way(record) && calls_.messages().may_move(record);
}

void Centrifuge::on_adopted(Record& record) {
  switch (load_session(context_.arena, record).state) {
    case Session::State::Fresh:
      return alarms_.set(context_.connections.id_of(record), wall_ms() + kStaleMs);
    case Session::State::Connecting:
      return sender_.close(record, Metric::ClosesMissed, kForceReconnect);
    case Session::State::Connected:
      break;
  }
  subscriptions_.check_expiry(record);
  connecting_.check_expiry(record);
  if (record.ws.close == record::CloseState::Open) calls_.adopt(record);
}

void Centrifuge::on_given(Record& record) {
  alarms_.clear(context_.connections.id_of(record));
  calls_.messages().on_given(record);
  HookQueue(context_.arena).clear(record);
}

void Centrifuge::on_gone(Record& record, const ws::Ending& ending) {
  context_.hub.unsubscribe_all(record);
  ops_.forget(record);
  alarms_.clear(context_.connections.id_of(record));
  connecting_.forget(record);
  const auto webhook = webhook_of(record);
  if (record.hook_messages > 0) calls_.messages().on_gone(record, webhook);
  if (webhook != nullptr) events_.disconnected(record, webhook, ending);
}

ws::CloseText Centrifuge::closes_with(ws::Cause cause) const {
  const auto text = [](const Ending& why) { return ws::CloseText{why.code, why.reason}; };
  switch (cause) {
    case ws::Cause::Shutdown:
    case ws::Cause::Restart: return text(kShutdown);
    case ws::Cause::SlowReader: return text(kSlow);
    case ws::Cause::Silence: return text(kNoPong);
    case ws::Cause::TooFast: return text(kTooManyRequests);
  }
  return {};
}

// --- Orders.

Result<hub::Subscribed> Centrifuge::subscribe(Record& record, std::string_view channel) {
  if (!hub::Hub::valid_channel(channel)) return Error{Code::Invalid, 0, "not a channel name"};
  if (load_session(context_.arena, record).state != Session::State::Connected) {
    Session session = load_session(context_.arena, record);
    session.channels.emplace_back(channel);
    if (session.state != Session::State::Fresh || session.channels.size() > Connecting::kChannelsMax ||
        !save_session(context_.arena, record, session)) {
      return Error{Code::Unavailable, 0, "the client is connecting"};
    }
    return hub::Subscribed::Now;
  }
  if (!context_.hub.is_subscribed(record, channel)) {
    const auto joined = subscriptions_.join_by_server(record, channel, {}, nullptr);
    if (!joined) return joined.error();
  }
  return context_.hub.is_joining(record, channel) ? hub::Subscribed::Pending : hub::Subscribed::Now;
}

bool Centrifuge::unsubscribe(Record& record, std::string_view channel) {
  return subscriptions_.leave_by_server(record, channel, kUnsubscribedByServer);
}

std::string Centrifuge::message(bool binary, std::string_view bytes) const {
  std::string object = "{\"data\":";
  append_data(object, binary ? ipc::PayloadKind::Binary : ipc::PayloadKind::Text, bytes);
  return make_push({}, "message", object += '}');
}

// Codes below 3000 are a broken transport to these clients: they would come back at once.
ws::CloseText Centrifuge::closes_with(uint16_t code, std::string_view reason) const {
  if (code >= 3000) return {code, reason};
  const auto text = [&](const Ending& why) { return ws::CloseText{why.code, reason.empty() ? why.reason : reason}; };
  switch (code) {
    case ws::kCloseGoingAway:
    case ws::kCloseServiceRestart: return text(kShutdown);
    case ws::kClosePolicyViolation: return text(kPermissionDenied);
    case ws::kCloseInternalError: return text(kServerError);
    case ws::kCloseTryAgainLater: return text(kTooManyRequests);
    case ws::kCloseNormal: return text(kForcedOff);
    default: return text(kBadRequest);
  }
}

bool Centrifuge::refresh(Record& record, bool expired, int64_t expires_s) {
  connecting_.refresh_by_server(record, expired, expires_s);
  return true;
}

}  // namespace beamgate::proto::centrifuge
