#include "worker/api/methods.h"

#include "worker/api/arguments.h"
#include "worker/record/uid.h"

namespace beamgate::api {
namespace {

enum class Method : uint8_t {
  Publish, Broadcast, Subscribe, Unsubscribe, Disconnect, Refresh, Presence, PresenceStats, History, HistoryRemove,
  Channels, Info, Users, UserChanges,
};

struct Row {
  std::string_view name;
  Method method;
};

constexpr Row kRows[] = {
    {"publish", Method::Publish},         {"broadcast", Method::Broadcast},
    {"subscribe", Method::Subscribe},     {"unsubscribe", Method::Unsubscribe},
    {"disconnect", Method::Disconnect},   {"channels", Method::Channels},
    {"info", Method::Info},               {"presence", Method::Presence},
    {"presence_stats", Method::PresenceStats}, {"history", Method::History},
    {"history_remove", Method::HistoryRemove}, {"refresh", Method::Refresh},
    {"users", Method::Users},             {"user_changes", Method::UserChanges},
};

// Centrifugo's "force disconnect": clients of its protocols don't come back after it.
constexpr uint16_t kCloseForced = 3503;

const Row* find_row(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

// user and client of a command; empty problem: fine.
const char* read_target(const json::Value& params, ConnectionCall& call) {
  if (!read_text(params, "user", call.user)) return "user is not a string";
  if (call.user.size() > proto::ConnectionOps::kUserBytesMax) return "user too long";
  if (!params.has("client")) return call.user.empty() ? "user required" : nullptr;
  const auto client = params.get_string("client");
  if (!client) return "client is not a string";
  // Empty in the requests of client libraries that send every field.
  if (client->empty()) return call.user.empty() ? "user required" : nullptr;
  const auto uid = record::parse_uid(*client);
  if (!uid || *uid == 0) return "client is not a connection id";
  call.uid = *uid;
  return nullptr;
}

}  // namespace

bool Methods::known(std::string_view method) { return find_row(method) != nullptr; }

void Methods::run(std::string_view method, const json::Value& params, const Caller& caller, Done done) {
  const Row* row = find_row(method);
  if (row == nullptr) return done(Reply::failed(ErrorCode::NotFound, "no such method"));
  if (!params.is_object()) return done(Reply::failed(ErrorCode::BadRequest, "not an object"));
  switch (row->method) {
    case Method::Publish:
      return publishing_.publish(params, caller.idempotency_key, caller.payload_bytes_max, std::move(done));
    case Method::Broadcast:
      return publishing_.broadcast(params, caller.idempotency_key, caller.payload_bytes_max, std::move(done));
    case Method::Subscribe:
      return change_subscription(ConnectionOp::Subscribe, params, std::move(done));
    case Method::Unsubscribe:
      return change_subscription(ConnectionOp::Unsubscribe, params, std::move(done));
    case Method::Disconnect:
      return disconnect(params, std::move(done));
    case Method::Channels:
      return nodes_.channels(params, std::move(done));
    case Method::Info:
      return nodes_.info(std::move(done));
    case Method::Refresh:
      return refresh(params, std::move(done));
    case Method::Presence:
      return channels_.presence(params, std::move(done));
    case Method::PresenceStats:
      return channels_.presence_stats(params, std::move(done));
    case Method::History:
      return channels_.history(params, std::move(done));
    case Method::HistoryRemove:
      return channels_.history_remove(params, std::move(done));
    case Method::Users:
      return users_.users(params, std::move(done));
    case Method::UserChanges:
      return users_.changes(params, std::move(done));
  }
}

void Methods::change_subscription(ConnectionOp op, const json::Value& params, Done done) {
  ConnectionCall call;
  call.op = op;
  const char* problem = read_target(params, call);
  if (problem != nullptr) return done(Reply::failed(ErrorCode::BadRequest, problem));
  call.channel = params.get_string("channel").value_or("");
  if (!hub::Hub::valid_channel(call.channel)) {
    return done(Reply::failed(ErrorCode::BadRequest, "not a channel name"));
  }
  run_call(call, std::move(done));
}

void Methods::disconnect(const json::Value& params, Done done) {
  ConnectionCall call;
  call.op = ConnectionOp::Close;
  call.code = kCloseForced;
  call.reason = "force disconnect";
  if (!read_text(params, "channel", call.subscribed_to)) {
    return done(Reply::failed(ErrorCode::BadRequest, "channel is not a string"));
  }
  if (!call.subscribed_to.empty() && !hub::Hub::valid_channel(call.subscribed_to)) {
    return done(Reply::failed(ErrorCode::BadRequest, "not a channel name"));
  }
  const bool by_channel = !call.subscribed_to.empty() && !params.has("user") && !params.has("client");
  const char* problem = by_channel ? nullptr : read_target(params, call);
  if (problem != nullptr) return done(Reply::failed(ErrorCode::BadRequest, problem));
  if (const json::Value* wanted = params.find("disconnect"); wanted != nullptr && !wanted->is_null()) {
    const uint64_t code = wanted->get_uint("code").value_or(0);
    call.reason = {};
    if (!read_text(*wanted, "reason", call.reason)) {
      return done(Reply::failed(ErrorCode::BadRequest, "reason is not a string"));
    }
    if (!proto::ConnectionOps::valid_close_code(code)) {
      return done(Reply::failed(ErrorCode::BadRequest, "not a close code"));
    }
    call.code = static_cast<uint16_t>(code);
  }
  run_call(call, std::move(done));
}

void Methods::refresh(const json::Value& params, Done done) {
  ConnectionCall call;
  call.op = ConnectionOp::Refresh;
  const char* problem = read_target(params, call);
  if (problem != nullptr) return done(Reply::failed(ErrorCode::BadRequest, problem));
  if (!read_flag(params, "expired", call.expired)) {
    return done(Reply::failed(ErrorCode::BadRequest, "expired is not true or false"));
  }
  if (!read_number(params, "expire_at", call.expires_s) || call.expires_s < 0) {
    return done(Reply::failed(ErrorCode::BadRequest, "expire_at is no time"));
  }
  connections_.run(call, [done](ConnectionCalls::Outcome&& outcome) {
    if (!outcome.asked) return done(Reply::failed(ErrorCode::TooManyRequests, "the bus is full"));
    done(Reply());
  });
}

void Methods::run_call(const ConnectionCall& call, Done done) {
  connections_.run(call, [done](ConnectionCalls::Outcome&& outcome) {
    if (!outcome.asked) return done(Reply::failed(ErrorCode::TooManyRequests, "the bus is full"));
    if (outcome.refused > 0) return done(Reply::failed(ErrorCode::LimitExceeded, "a connection refused it"));
    done(Reply());
  });
}

}  // namespace beamgate::api
