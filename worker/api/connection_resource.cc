#include "worker/api/connection_resource.h"

#include "common/base/bytes.h"
#include "common/base/utf8.h"
#include "worker/api/body_kind.h"
#include "worker/api/reply.h"
#include "worker/record/uid.h"

namespace beamgate::api {
namespace {

using Outcome = ConnectionCalls::Outcome;

ResourceAnswer failure(uint16_t status, ErrorCode code, std::string_view detail) {
  return {status, to_json(Reply::failed(code, detail)).dump()};
}

ResourceAnswer success(json::Value result) {
  Reply reply;
  reply.result = std::move(result);
  return {200, to_json(std::move(reply)).dump()};
}

// Their texts are JSON already.
std::string join(const std::vector<std::string>& looks) {
  std::string out;
  for (const std::string& look : looks) {
    if (!out.empty()) out += ',';
    out += look;
  }
  return out;
}

ResourceAnswer answer_look(const Route& route, const Outcome& outcome) {
  if (route.kind == Route::Kind::Connection) return {200, "{\"result\":" + outcome.looks.at(0) + '}'};
  std::string body = "{\"result\":{\"user\":";
  json::append_string(body, route.name);
  body += ",\"num_clients\":" + std::to_string(outcome.matched);
  body += ",\"connections\":[" + join(outcome.looks) + "]}}";
  return {200, std::move(body)};
}

ResourceAnswer answer_of(const Route& route, ConnectionOp op, const Outcome& outcome) {
  if (!outcome.asked) return failure(503, ErrorCode::TooManyRequests, "the bus is full");
  if (outcome.matched == 0) return failure(404, ErrorCode::NotFound, "no such connection");
  if (op == ConnectionOp::Look && !outcome.looks.empty()) return answer_look(route, outcome);
  if (outcome.refused == outcome.matched) {
    return failure(409, ErrorCode::LimitExceeded, "closing, or its send queue is full");
  }
  json::Value result = json::Value::object();
  if (route.kind == Route::Kind::User) result.set("num_clients", outcome.matched - outcome.refused);
  return success(std::move(result));
}

}  // namespace

void run_resource(ConnectionCalls& calls, const Route& route, const http::Request& request, std::string_view body,
                  uint64_t bytes_max, std::function<void(ResourceAnswer&&)> done) {
  ConnectionCall call;
  if (route.kind == Route::Kind::User) {
    if (route.name.size() > proto::ConnectionOps::kUserBytesMax) {
      return done(failure(404, ErrorCode::NotFound, "no such user"));
    }
    call.user = route.name;
  } else {
    const auto uid = record::parse_uid(route.name);
    if (!uid || *uid == 0) return done(failure(404, ErrorCode::NotFound, "no such connection"));
    call.uid = *uid;
  }

  std::string reason;
  if (request.method == "POST") {
    call.op = ConnectionOp::Send;
    call.binary = body_kind(request.field("Content-Type")) == BodyKind::Binary;
    call.bytes = body;
    if (body.size() > bytes_max) return done(failure(413, ErrorCode::LimitExceeded, "body too big"));
    if (!call.binary && !valid_utf8(body)) return done(failure(400, ErrorCode::BadRequest, "text is not UTF-8"));
  } else if (request.method == "DELETE") {
    call.op = ConnectionOp::Close;
    uint64_t code = 1000;
    const std::string wanted = request.argument("code");
    const bool readable = wanted.empty() || parse_decimal(wanted, code);
    reason = request.argument("reason");
    if (!readable || !proto::ConnectionOps::valid_close_code(code) || !valid_utf8(reason)) {
      return done(failure(400, ErrorCode::BadRequest, "not a close code or reason"));
    }
    call.code = static_cast<uint16_t>(code);
    call.reason = reason;
  }
  calls.run(call, [route, op = call.op, done](Outcome&& outcome) { done(answer_of(route, op, outcome)); });
}

}  // namespace beamgate::api
