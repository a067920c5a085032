// Reply: what one API method answers: a result object, or an error with Centrifugo's code and message.
//
// Source   Centrifugo's server API: {"result":{...}} or {"error":{"code":N,"message":"..."}}.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/json/value.h"

namespace beamgate::api {

enum class ErrorCode : uint16_t {
  None = 0,
  Internal = 100,
  Unauthorized = 101,
  PermissionDenied = 103,
  NotFound = 104,          // The method, the connection or the user.
  LimitExceeded = 106,
  BadRequest = 107,
  NotAvailable = 108,
  UnrecoverablePosition = 112,  // A history of another epoch.
  TooManyRequests = 111,   // The bus to the master is full; the same request may succeed later.
};

// Centrifugo's text of a code: "bad request".
const char* text_of(ErrorCode code);

struct Reply {
  ErrorCode error = ErrorCode::None;
  std::string message;  // Of an error.
  json::Value result = json::Value::object();

  bool ok() const { return error == ErrorCode::None; }

  // The code's own text, with ": detail" behind it when there is one.
  static Reply failed(ErrorCode code, std::string_view detail = {});
};

using Done = std::function<void(Reply&&)>;

// {"code":N,"message":"..."}
json::Value error_to_json(const Reply& reply);

// {"result":{...}} or {"error":{...}}
json::Value to_json(Reply&& reply);

}  // namespace beamgate::api
