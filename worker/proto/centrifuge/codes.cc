#include "worker/proto/centrifuge/codes.h"

namespace beamgate::proto::centrifuge {

std::string_view text_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::Internal: return "internal server error";
    case ErrorCode::Unauthorized: return "unauthorized";
    case ErrorCode::UnknownChannel: return "unknown channel";
    case ErrorCode::PermissionDenied: return "permission denied";
    case ErrorCode::MethodNotFound: return "method not found";
    case ErrorCode::AlreadySubscribed: return "already subscribed";
    case ErrorCode::LimitExceeded: return "limit exceeded";
    case ErrorCode::BadRequest: return "bad request";
    case ErrorCode::NotAvailable: return "not available";
    case ErrorCode::TokenExpired: return "token expired";
    case ErrorCode::Expired: return "expired";
    case ErrorCode::TooManyRequests: return "too many requests";
    case ErrorCode::UnrecoverablePosition: return "unrecoverable position";
  }
  return {};
}

}  // namespace beamgate::proto::centrifuge
