#include "worker/api/named_resources.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/config/channel_rules.h"
#include "worker/api/body_kind.h"
#include "worker/hub/hub.h"
#include "worker/settings.h"

namespace beamgate::api {
namespace {

uint16_t status_of(ErrorCode error) {
  switch (error) {
    case ErrorCode::None: return 200;
    case ErrorCode::TooManyRequests: return 503;
    case ErrorCode::LimitExceeded: return 413;
    case ErrorCode::NotFound: return 404;
    default: return 400;
  }
}

ResourceAnswer answer_of(Reply&& reply) {
  const uint16_t status = status_of(reply.error);
  return {status, to_json(std::move(reply)).dump()};
}

ResourceAnswer bus_is_full() { return failure(503, ErrorCode::TooManyRequests, "the bus is full"); }

// Their texts are JSON already.
std::string list_of(const std::vector<std::string>& looks) {
  std::string out = "[";
  for (const std::string& look : looks) {
    if (out.size() > 1) out += ',';
    out += look;
  }
  return out += ']';
}

std::string describe_user(std::string_view user, const ConnectionCalls::Outcome& outcome) {
  std::string out = "{\"result\":{\"user\":";
  json::append_string(out, user);
  out += ",\"num_clients\":" + std::to_string(outcome.matched) + ",\"protocols\":{";
  for (size_t i = 0; i < outcome.by_protocol.size(); ++i) {
    if (outcome.by_protocol[i] == 0) continue;
    if (out.back() != '{') out += ',';
    json::append_string(out, record::name_of(static_cast<record::Protocol>(i)));
    out += ':' + std::to_string(outcome.by_protocol[i]);
  }
  out += "},\"since\":";
  json::append_string(out, format_rfc3339(outcome.since_ms));
  return out + ",\"connections\":" + list_of(outcome.looks) + "}}";
}

}  // namespace

bool read_body(const http::Request& request, std::string&& body, Payload& payload, const char*& problem) {
  payload.event = request.argument("event");
  if (const std::string except = request.argument("except"); !except.empty() && !read_except(except, payload, problem)) {
    return false;
  }
  const std::string receipt = request.argument("receipt");
  if (!receipt.empty() && receipt != "true" && receipt != "false") {
    problem = "receipt is not true or false";
    return false;
  }
  payload.wants_receipt = receipt == "true";
  if (const std::string wanted = request.argument("acknowledge_ms"); !wanted.empty()) {
    uint64_t ms = 0;
    const bool is_number = parse_decimal(wanted, ms);
    if (!read_acknowledge_ms(is_number ? std::optional(ms) : std::nullopt, payload, problem)) return false;
  }
  switch (body_kind(request.field("Content-Type"))) {
    case BodyKind::Json: {
      const Result<json::Value> data = json::parse(body);
      problem = data ? nullptr : data.error().text;
      break;
    }
    case BodyKind::Text:
      problem = valid_utf8(body) ? nullptr : "text is not UTF-8";
      payload.kind = ipc::PayloadKind::Text;
      break;
    case BodyKind::Binary:
      payload.kind = ipc::PayloadKind::Binary;
      break;
  }
  payload.bytes = std::move(body);
  return problem == nullptr;
}

bool read_close(const http::Request& request, uint16_t& code, std::string& reason) {
  uint64_t number = 1000;
  const std::string wanted = request.argument("code");
  if (!wanted.empty() && !parse_decimal(wanted, number)) return false;
  reason = request.argument("reason");
  code = static_cast<uint16_t>(number);
  return proto::ConnectionOps::valid_close_code(number) && valid_utf8(reason);
}

void NamedResources::run(const Route& route, const http::Request& request, std::string&& body, uint64_t bytes_max,
                         OnAnswer done) {
  if (route.kind == Route::Kind::Connections) return look_at_all(request, std::move(done));
  if (route.kind == Route::Kind::User) {
    return run_user(route.name, request, std::move(body), bytes_max, std::move(done));
  }
  run_channel(route.name, request, std::move(body), bytes_max, std::move(done));
}

void NamedResources::close(ConnectionCall call, const http::Request& request, OnAnswer done) {
  std::string reason;
  if (!read_close(request, call.code, reason)) {
    return done(failure(400, ErrorCode::BadRequest, "not a close code or reason"));
  }
  call.op = ConnectionOp::Close;
  call.reason = reason;
  const bool by_user = !call.user.empty();
  connections_.run(call, [done, by_user](ConnectionCalls::Outcome&& outcome) {
    if (!outcome.asked) return done(bus_is_full());
    if (by_user && outcome.matched == 0) return done(failure(404, ErrorCode::NotFound, "no such connection"));
    Reply reply;
    reply.result.set("num_clients", outcome.matched - outcome.refused);
    done(answer_of(std::move(reply)));
  });
}

// --- Everybody, or the subscribers of ?channel=, or the connections of ?user=.

void NamedResources::look_at_all(const http::Request& request, OnAnswer done) {
  const std::string channel = request.argument("channel");
  const std::string user = request.argument("user");
  const ConnectionCall call{.op = ConnectionOp::Look, .user = user, .subscribed_to = channel};
  connections_.run(call, [done](ConnectionCalls::Outcome&& outcome) {
    if (!outcome.asked) return done(bus_is_full());
    const std::string count = std::to_string(outcome.matched);
    done({200, "{\"result\":{\"num_clients\":" + count + ",\"connections\":" + list_of(outcome.looks) + "}}"});
  });
}

// --- Users.

void NamedResources::run_user(const std::string& user, const http::Request& request, std::string&& body,
                              uint64_t bytes_max, OnAnswer done) {
  if (user.size() > proto::ConnectionOps::kUserBytesMax || !hub::Hub::valid_channel(hub::user_channel(user))) {
    return done(failure(404, ErrorCode::NotFound, "no such user"));
  }
  if (request.method == "DELETE") {
    ConnectionCall call;
    call.user = user;
    return close(call, request, std::move(done));
  }
  if (request.method != "POST") return look_at_user(user, std::move(done));
  Payload payload;
  const char* problem = nullptr;
  if (!read_body(request, std::move(body), payload, problem)) return done(failure(400, ErrorCode::BadRequest, problem));
  send_to_user(user, std::move(payload), bytes_max, std::move(done));
}

void NamedResources::look_at_user(const std::string& user, OnAnswer done) {
  ConnectionCall call;
  call.user = user;
  const std::string name = user;
  connections_.run(call, [done, name](ConnectionCalls::Outcome&& outcome) {
    if (!outcome.asked) return done(bus_is_full());
    if (outcome.matched == 0) return done(failure(404, ErrorCode::NotFound, "no such connection"));
    done({200, describe_user(name, outcome)});
  });
}

// Nobody there, and nothing kept: the sender should know.
void NamedResources::send_to_user(const std::string& user, Payload&& payload, uint64_t bytes_max, OnAnswer done) {
  const std::string channel = hub::user_channel(user);
  if (payload.bytes.size() > bytes_max) return done(failure(413, ErrorCode::LimitExceeded, "body too big"));
  const bool kept = config::rules_of(context_.settings.current().http, channel).history > 0;
  auto shared = std::make_shared<Payload>(std::move(payload));
  const auto answer = [this, channel, kept, shared, bytes_max, done](const ipc::ChannelState& state) {
    if (!state.answered) return done(bus_is_full());
    if (state.connections == 0 && !kept) return done(failure(404, ErrorCode::NotFound, "no such connection"));
    publishing_.publish_payload(channel, *shared, {}, bytes_max, [done, n = state.connections](Reply&& reply) {
      if (reply.ok()) reply.result.set("num_clients", n);
      done(answer_of(std::move(reply)));
    });
  };
  context_.hub.ask({.channel = channel}, answer);
}

// --- Channels.

void NamedResources::run_channel(const std::string& channel, const http::Request& request, std::string&& body,
                                 uint64_t bytes_max, OnAnswer done) {
  const auto on_reply = [done](Reply&& reply) { done(answer_of(std::move(reply))); };
  if (!hub::Hub::valid_channel(channel)) return done(failure(404, ErrorCode::NotFound, "not a channel name"));
  if (request.method == "POST") {
    Payload payload;
    const char* problem = nullptr;
    if (!read_body(request, std::move(body), payload, problem)) {
      return done(failure(400, ErrorCode::BadRequest, problem));
    }
    return publishing_.publish_payload(channel, payload, {}, bytes_max, on_reply);
  }
  if (request.method != "DELETE") return channels_.look(channel, on_reply);
  ConnectionCall call;
  call.subscribed_to = channel;
  if (!request.argument("code").empty()) return close(call, request, std::move(done));
  call.op = ConnectionOp::Unsubscribe;
  call.channel = channel;
  connections_.run(call, [done](ConnectionCalls::Outcome&& outcome) {
    if (!outcome.asked) return done(bus_is_full());
    Reply reply;
    reply.result.set("num_clients", outcome.matched);
    done(answer_of(std::move(reply)));
  });
}

}  // namespace beamgate::api
