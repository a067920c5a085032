#include "worker/api/connection_resource.h"

#include "common/base/utf8.h"
#include "worker/api/body_kind.h"
#include "worker/api/named_resources.h"
#include "worker/record/uid.h"

namespace beamgate::api {
namespace {

using Outcome = ConnectionCalls::Outcome;

ResourceAnswer success(json::Value result) {
  Reply reply;
  reply.result = std::move(result);
  return {200, to_json(std::move(reply)).dump()};
}

ResourceAnswer answer_of(ConnectionOp op, const Outcome& outcome) {
  if (!outcome.asked) return failure(503, ErrorCode::TooManyRequests, "the bus is full");
  if (outcome.matched == 0) return failure(404, ErrorCode::NotFound, "no such connection");
  if (op == ConnectionOp::Look && !outcome.looks.empty()) {
    return {200, "{\"result\":" + outcome.looks[0] + '}'};
  }
  if (outcome.refused == outcome.matched) {
    return failure(409, ErrorCode::LimitExceeded, "closing, or its send queue is full");
  }
  return success(json::Value::object());
}

}  // namespace

ResourceAnswer failure(uint16_t status, ErrorCode code, std::string_view detail) {
  return {status, to_json(Reply::failed(code, detail)).dump()};
}

void run_resource(ConnectionCalls& calls, const Route& route, const http::Request& request, std::string_view body,
                  uint64_t bytes_max, std::function<void(ResourceAnswer&&)> done) {
  ConnectionCall call;
  const auto uid = record::parse_uid(route.name);
  if (!uid || *uid == 0) return done(failure(404, ErrorCode::NotFound, "no such connection"));
  call.uid = *uid;

  std::string reason;
  if (request.method == "POST") {
    call.op = ConnectionOp::Send;
    call.binary = body_kind(request.field("Content-Type")) == BodyKind::Binary;
    call.bytes = body;
    if (body.size() > bytes_max) return done(failure(413, ErrorCode::LimitExceeded, "body too big"));
    if (!call.binary && !valid_utf8(body)) return done(failure(400, ErrorCode::BadRequest, "text is not UTF-8"));
  } else if (request.method == "DELETE") {
    call.op = ConnectionOp::Close;
    if (!read_close(request, call.code, reason)) {
      return done(failure(400, ErrorCode::BadRequest, "not a close code or reason"));
    }
    call.reason = reason;
  }
  calls.run(call, [op = call.op, done](Outcome&& outcome) { done(answer_of(op, outcome)); });
}

}  // namespace beamgate::api
