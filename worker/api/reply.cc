#include "worker/api/reply.h"

namespace beamgate::api {

const char* text_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::None: return "";
    case ErrorCode::Internal: return "internal server error";
    case ErrorCode::Unauthorized: return "unauthorized";
    case ErrorCode::PermissionDenied: return "permission denied";
    case ErrorCode::NotFound: return "not found";
    case ErrorCode::LimitExceeded: return "limit exceeded";
    case ErrorCode::BadRequest: return "bad request";
    case ErrorCode::NotAvailable: return "not available";
    case ErrorCode::UnrecoverablePosition: return "unrecoverable position";
    case ErrorCode::TooManyRequests: return "too many requests";
  }
  return "";
}

Reply Reply::failed(ErrorCode code, std::string_view detail) {
  Reply reply;
  reply.error = code;
  reply.message = text_of(code);
  if (!detail.empty()) reply.message.append(": ").append(detail);
  return reply;
}

json::Value error_to_json(const Reply& reply) {
  json::Value error;
  error.set("code", static_cast<unsigned>(reply.error));
  error.set("message", reply.message);
  return error;
}

json::Value to_json(Reply&& reply) {
  json::Value document;
  if (reply.ok()) return document.set("result", std::move(reply.result));
  return document.set("error", error_to_json(reply));
}

}  // namespace beamgate::api
