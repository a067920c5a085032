// Codes: the errors, unsubscribes and disconnects of the Centrifuge protocol, as its clients understand them.
//
// Source   Centrifugo's documentation, "Client protocol codes".  A client comes back after a disconnect unless its code
//          is 3500 to 3999 or 4500 to 4999; it subscribes again after an unsubscribe of 2500 and above.
#pragma once

#include <cstdint>
#include <string_view>

namespace beamgate::proto::centrifuge {

enum class ErrorCode : uint16_t {
  Internal = 100,
  Unauthorized = 101,
  UnknownChannel = 102,
  PermissionDenied = 103,
  MethodNotFound = 104,
  AlreadySubscribed = 105,
  LimitExceeded = 106,
  BadRequest = 107,
  NotAvailable = 108,
  TokenExpired = 109,
  Expired = 110,
  TooManyRequests = 111,
  UnrecoverablePosition = 112,
};

std::string_view text_of(ErrorCode code);

// The same command may succeed later: clients try again.
constexpr bool is_temporary(ErrorCode code) {
  return code == ErrorCode::Internal || code == ErrorCode::TooManyRequests;
}

// Of the error that answers a subscribe which its client has taken back.  It is an Internal one: a client that has
// subscribed anew by then takes it for the new one's, and only after a temporary error it stays where it is.
inline constexpr std::string_view kUnsubscribedMeanwhile = "unsubscribed meanwhile";

// A code with its reason, for a Close frame or an unsubscribe push.
struct Ending {
  uint16_t code = 0;
  std::string_view reason;
};

inline constexpr Ending kUnsubscribedByServer{2000, "server unsubscribe"};
inline constexpr Ending kUnsubscribedInsufficientState{2500, "insufficient state"};
inline constexpr Ending kUnsubscribedExpired{2501, "subscription expired"};

inline constexpr Ending kShutdown{3001, "shutdown"};
inline constexpr Ending kServerError{3004, "internal server error"};
inline constexpr Ending kExpired{3005, "connection expired"};
inline constexpr Ending kSlow{3008, "slow"};
inline constexpr Ending kForceReconnect{3011, "force reconnect"};
inline constexpr Ending kNoPong{3012, "no pong"};
inline constexpr Ending kTooManyRequests{3013, "too many requests"};
inline constexpr Ending kInvalidToken{3500, "invalid token"};
inline constexpr Ending kBadRequest{3501, "bad request"};
inline constexpr Ending kStale{3502, "stale"};
inline constexpr Ending kForcedOff{3503, "force disconnect"};
inline constexpr Ending kInappropriateProtocol{3506, "inappropriate protocol"};
inline constexpr Ending kPermissionDenied{3507, "permission denied"};

}  // namespace beamgate::proto::centrifuge
