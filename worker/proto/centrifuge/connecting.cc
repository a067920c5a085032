#include "worker/proto/centrifuge/connecting.h"

#include <algorithm>
#include <utility>

#include "common/base/clock.h"
#include "common/crypto/jwt.h"
#include "common/version.h"
#include "worker/net/connections.h"
#include "worker/proto/centrifuge/shapes.h"
#include "worker/record/uid.h"

namespace beamgate::proto::centrifuge {

using metrics::Metric;
using record::ConnId;
using record::Record;

void Connecting::connect(Record& record, const Command& command, std::string_view rest) {
  Session session = load_session(context_.arena, record);
  if (session.state != Session::State::Fresh) return sender_.close(record, Metric::ClosesProtocolError, kBadRequest);
  if (!read_token(record, command, session)) return;

  const ConnId id = context_.connections.id_of(record);
  UnderWay& under_way = under_way_[id.slot] = UnderWay{.id = id, .command = command.id, .rest = std::string(rest)};
  under_way.channels = std::move(session.channels);
  if (const json::Value* positions = command.params.find("subs")) under_way.positions = *positions;
  session.channels.clear();
  session.state = Session::State::Connecting;
  if (!save_session(context_.arena, record, session)) return sender_.close(record, Metric::ClosesMemory, kServerError);
  alarms_.clear(id);
  check_expiry(record);
  context_.connections.pause(record, record::kPauseBus);
  open_channels(record, under_way);
}

// --- Tokens.

bool Connecting::read_token(Record& record, const Command& command, Session& session) {
  const config::WebSocketAction* action = access_.action_of(record);
  if (action == nullptr) return sender_.close(record, Metric::ClosesNotConfigured, kServerError), false;
  if (action->token == nullptr) return true;
  const std::string_view token = command.params.get_string("token").value_or("");
  if (token.empty()) return sender_.error(record, command.id, ErrorCode::Unauthorized), false;
  const crypto::Jwt jwt = action->token->verifier->verify(token, wall_ms() / 1000);
  if (jwt.status == crypto::JwtStatus::Expired) {
    return sender_.error(record, command.id, ErrorCode::TokenExpired), false;
  }
  if (!jwt.valid()) {
    context_.log.info("token_refused",
                      {{"connection", record::format_uid(record.uid)}, {"reason", text_of(jwt.status)}});
    return sender_.close(record, Metric::ClosesToken, kInvalidToken), false;
  }
  const std::string user = crypto::claim_text(jwt.claims, action->token->user_claim);
  if (command.method == Method::Refresh && user != ops_.user_of(record)) {
    return sender_.close(record, Metric::ClosesToken, kInvalidToken), false;
  }
  if (!ops_.set_user(record, user)) return sender_.close(record, Metric::ClosesToken, kInvalidToken), false;
  session.expires_s = jwt.expires_s;
  if (const json::Value* info = jwt.claims.find("info")) session.info = info->dump();
  if (const json::Value::Array* channels = jwt.claims.get_array("channels")) {
    for (const json::Value& channel : *channels) session.channels.emplace_back(channel.as_string().value_or(""));
  }
  if (const json::Value* subs = jwt.claims.find("subs"); subs != nullptr && subs->is_object()) {
    for (const auto& [channel, options] : *subs->as_object()) session.channels.push_back(channel);
  }
  return true;
}

void Connecting::refresh(Record& record, const Command& command) {
  Session session = load_session(context_.arena, record);
  const config::WebSocketAction* action = access_.action_of(record);
  if (action == nullptr || action->token == nullptr) {
    return sender_.error(record, command.id, ErrorCode::NotAvailable);
  }
  if (!read_token(record, command, session)) return;
  session.channels.clear();  // Only when it connects.
  if (!save_session(context_.arena, record, session)) return sender_.close(record, Metric::ClosesMemory, kServerError);
  alarms_.clear(context_.connections.id_of(record));
  subscriptions_.check_expiry(record);
  check_expiry(record);
  std::string result = "{";
  append_field(result, "client", record::format_uid(record.uid));
  append_field(result += ',', "version", BEAMGATE_VERSION);
  if (session.expires_s != 0) {
    const auto ttl_s = static_cast<uint64_t>(std::max<int64_t>(session.expires_s - wall_ms() / 1000, 1));
    append_field(result += ",\"expires\":true,", "ttl", ttl_s);
  }
  sender_.reply(record, command.id, Method::Refresh, result += '}');
}

void Connecting::refresh_by_server(Record& record, bool expired, int64_t expires_s) {
  if (expired) return sender_.close(record, Metric::ClosesApi, kExpired);
  Session session = load_session(context_.arena, record);
  session.expires_s = expires_s;
  if (!save_session(context_.arena, record, session)) return sender_.close(record, Metric::ClosesMemory, kServerError);
  check_expiry(record);
  std::string object = "{";
  if (expires_s != 0) {
    const auto ttl_s = static_cast<uint64_t>(std::max<int64_t>(expires_s - wall_ms() / 1000, 1));
    append_field(object += "\"expires\":true,", "ttl", ttl_s);
  }
  sender_.send(record, make_push({}, "refresh", object += '}'));
}

void Connecting::check_expiry(Record& record) {
  const Session session = load_session(context_.arena, record);
  if (session.expires_s == 0) return;
  const int64_t at_ms = session.expires_s * 1000 + Subscriptions::kExpiryGraceMs;
  if (at_ms <= wall_ms()) return sender_.close(record, Metric::ClosesToken, kExpired);
  alarms_.set(context_.connections.id_of(record), at_ms);
}

// --- Channels without asking.

void Connecting::open_channels(Record& record, UnderWay& under_way) {
  const ConnId id = under_way.id;
  std::vector<std::string>& channels = under_way.channels;
  std::sort(channels.begin(), channels.end());
  channels.erase(std::unique(channels.begin(), channels.end()), channels.end());
  if (channels.size() > kChannelsMax) channels.resize(kChannelsMax);
  under_way.questions = 1;  // Answered at the end: an answer may come at once.
  for (const std::string& channel : channels) {
    if (!hub::Hub::valid_channel(channel) || channel.starts_with(hub::kUserChannelPrefix)) continue;
    if (context_.hub.is_subscribed(record, channel)) continue;
    const config::ChannelRules& rules = access_.rules(channel);
    SubscriptionTag tag{.by_server = true, .quiet = true};
    const json::Value* position = under_way.positions.find(channel);
    if (access_.keeps_history(channel)) {
      if (position != nullptr) {
        tag.recover = position->get_bool("recover").value_or(false);
        tag.offset = position->get_uint("offset").value_or(0);
        tag.epoch = position->get_string("epoch").value_or("");
      }
      if (!context_.hub.hold(channel)) continue;
      under_way.held.push_back(channel);
      ++under_way.questions;
      ask_history(id, channel, rules, tag);
    } else if (subscriptions_.join_by_server(record, channel, tag, nullptr)) {
      under_way.results[channel] = "{}";
    }
  }
  --under_way.questions;
  confirm(record, under_way);
}

void Connecting::ask_history(ConnId id, const std::string& channel, const config::ChannelRules& rules,
                             const SubscriptionTag& tag) {
  ipc::Ask question{.channel = channel};
  if (tag.recover) {
    question.wants = ipc::kStateRecover;
    question.epoch = tag.epoch;
    question.after = tag.offset;
    question.publications_max = std::min(rules.history, Subscriptions::kRecoveredMax);
  }
  context_.hub.ask(question, [this, id, tag, channel](const ipc::ChannelState& state) {
    on_history(id, tag, channel, state);
  });
}

void Connecting::on_history(ConnId id, const SubscriptionTag& tag, const std::string& channel,
                            const ipc::ChannelState& state) {
  UnderWay* under_way = find(id);
  Record* record = ops_.find_open(id);
  if (under_way == nullptr || record == nullptr) return;
  if (!state.answered) return sender_.close(*record, Metric::ClosesMissed, kServerError);
  std::string result = subscriptions_.result_of(tag, state, tag.recover && state.recovered);
  // What the reply has no room for can't be recovered.
  if (under_way->result_bytes + result.size() > context_.connections.outbound_room(*record) / 2) {
    result = subscriptions_.result_of(tag, state, false);
  }
  under_way->result_bytes += result.size();
  under_way->results[channel] = std::move(result);
  under_way->to_join[channel] = SubscriptionTag{.by_server = true, .quiet = true, .recover = true,
                                                .offset = state.offset, .epoch = std::string(state.epoch)};
  --under_way->questions;
  confirm(*record, *under_way);
}

void Connecting::confirm(Record& record, UnderWay& under_way) {
  if (under_way.questions > 0) return;
  ops_.when_confirmed(record, [this](Record* confirmed) {
    if (confirmed != nullptr) finish(*confirmed);
  });
}

void Connecting::finish(Record& record) {
  UnderWay* found = find(context_.connections.id_of(record));
  if (found == nullptr || record.ws.close != record::CloseState::Open) return;
  const UnderWay under_way = std::move(*found);
  under_way_.erase(under_way.id.slot);
  record::touch(context_.arena, record);
  Session session = load_session(context_.arena, record);
  session.state = Session::State::Connected;
  if (!save_session(context_.arena, record, session)) {
    release(under_way);
    return sender_.close(record, Metric::ClosesMemory, kServerError);
  }
  sender_.reply(record, under_way.command, Method::Connect, result(record, session, under_way));
  for (const auto& [channel, tag] : under_way.to_join) {
    json::Value position;
    position.set("recover", true).set("offset", tag.offset).set("epoch", tag.epoch);
    const auto joined = subscriptions_.join_by_server(record, channel, tag, &position);
    if (!joined) sender_.send(record, make_unsubscribe(channel, kUnsubscribedByServer));
  }
  release(under_way);
  Record* open = ops_.find_open(under_way.id);
  if (open != nullptr) on_connected_(*open, under_way.rest);
  open = ops_.find_open(under_way.id);
  if (open != nullptr) context_.connections.resume(*open, record::kPauseBus);
}

std::string Connecting::result(const Record& record, const Session& session, const UnderWay& under_way) const {
  std::string out = "{";
  append_field(out, "client", record::format_uid(record.uid));
  append_field(out += ',', "version", BEAMGATE_VERSION);
  const config::WebSocketAction* action = access_.action_of(record);
  if (action != nullptr && action->ping_interval_ms > 0) {
    append_field(out += ',', "ping", static_cast<uint64_t>((action->ping_interval_ms + 999) / 1000));
    out += ",\"pong\":true";
  }
  if (session.expires_s != 0) {
    const auto ttl_s = static_cast<uint64_t>(std::max<int64_t>(session.expires_s - wall_ms() / 1000, 1));
    append_field(out += ",\"expires\":true,", "ttl", ttl_s);
  }
  if (!under_way.results.empty()) {
    out += ",\"subs\":{";
    for (const auto& [channel, sub] : under_way.results) {
      if (out.back() != '{') out += ',';
      json::append_string(out, channel);
      out.append(":").append(sub);
    }
    out += '}';
  }
  return out += '}';
}

Connecting::UnderWay* Connecting::find(ConnId id) {
  const auto found = under_way_.find(id.slot);
  return found != under_way_.end() && found->second.id == id ? &found->second : nullptr;
}

bool Connecting::is_under_way(const Record& record) const {
  const auto found = under_way_.find(context_.connections.id_of(record).slot);
  return found != under_way_.end() && found->second.id == context_.connections.id_of(record);
}

void Connecting::forget(const Record& record) {
  UnderWay* under_way = find(context_.connections.id_of(record));
  if (under_way == nullptr) return;
  release(*under_way);
  under_way_.erase(under_way->id.slot);
}

void Connecting::release(const UnderWay& under_way) {
  for (const std::string& channel : under_way.held) context_.hub.release(channel);
}

}  // namespace beamgate::proto::centrifuge
