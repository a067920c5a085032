#include "worker/ws/close_code.h"

#include "common/base/bytes.h"
#include "common/base/utf8.h"

namespace beamgate::ws {

bool valid_close_code(uint16_t code) {
  if (code >= 1000 && code <= 1003) return true;
  if (code >= 1007 && code <= 1014) return true;
  return code >= 3000 && code <= 4999;
}

CloseText close_text(Cause cause) {
  switch (cause) {
    case Cause::Shutdown: return {kCloseGoingAway, {}};
    case Cause::Restart: return {kCloseServiceRestart, {}};
    case Cause::SlowReader: return {kClosePolicyViolation, "too slow"};
    case Cause::Silence: return {kCloseGoingAway, "idle"};
    case Cause::TooFast: return {kClosePolicyViolation, "too fast"};
  }
  return {};
}

ClosePayload parse_close(std::string_view payload) {
  ClosePayload close;
  if (payload.empty()) return close;
  if (payload.size() == 1) {
    close.violation = kCloseProtocolError;
    return close;
  }
  close.code = load_be<uint16_t>(payload.data());
  close.reason = payload.substr(2);
  if (!valid_close_code(close.code)) {
    close.violation = kCloseProtocolError;
  } else if (!valid_utf8(close.reason)) {
    close.violation = kCloseInvalidPayload;
  }
  return close;
}

}  // namespace beamgate::ws
