// Application: what a WebSocket mode (echo, raw, ...) does with handshakes and messages.
//
// One object per mode and worker; everything about a connection is in its record.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/ipc/messages.h"
#include "worker/http/exchange.h"
#include "worker/record/record.h"

namespace beamgate::ws {

enum class Opcode : uint8_t { Continuation = 0, Text = 1, Binary = 2, Close = 8, Ping = 9, Pong = 10 };

// RFC 6455 section 7.4.1 and the IANA registry.
enum CloseCode : uint16_t {
  kCloseNormal = 1000,
  kCloseGoingAway = 1001,
  kCloseProtocolError = 1002,
  kCloseUnsupportedData = 1003,
  kCloseNoStatus = 1005,   // Never on the wire.
  kCloseAbnormal = 1006,   // Never on the wire.
  kCloseInvalidPayload = 1007,
  kClosePolicyViolation = 1008,
  kCloseMessageTooBig = 1009,
  kCloseInternalError = 1011,
  kCloseServiceRestart = 1012,
  kCloseTryAgainLater = 1013,
};

// How a connection ended: the first Close on either side, or kCloseAbnormal.
struct Ending {
  uint16_t code = kCloseAbnormal;
  bool by_peer = true;
  bool silent = false;  // Nothing was heard for websocket_idle_timeout.
};

// Why this layer closes a connection that has done nothing wrong.
enum class Cause : uint8_t {
  Shutdown,    // The gateway ends.
  Restart,     // This worker ends, another one serves.
  SlowReader,  // Its queue is full.
  Silence,     // Nothing was heard for websocket_idle_timeout.
  TooFast,     // It sends faster than websocket_rate allows.
};

struct CloseText {
  uint16_t code = kCloseGoingAway;
  std::string_view reason;
};

CloseText close_text(Cause cause);  // RFC 6455's; worker/ws/close_code.cc

class Application {
 public:
  virtual ~Application() = default;

  // A request for anything but a WebSocket: a fallback of the protocol's.  False: it has none, nothing has happened.
  virtual bool on_request(http::Exchange& exchange) { return static_cast<void>(exchange), false; }

  // The upgrade request is valid and its Origin allowed.  Ends in WebSockets::accept() or an ordinary
  // response, now or later (then attach something to the exchange first).
  virtual void on_handshake(http::Exchange& exchange) = 0;

  // The connection is open; record.protocol and record.location_id are set.
  virtual void on_open(record::Record& record) = 0;

  // One whole message, text already validated as UTF-8.  The bytes are scratch, good during the call.
  // Pause the connection (net::Connections::pause) to get no further message for now.
  virtual void on_message(record::Record& record, Opcode opcode, std::span<char> payload) = 0;

  // As on_message(), for one that comes faster than websocket_rate lets it, and is to be dropped: a protocol that answers
  // its messages says so.
  virtual void on_too_fast(record::Record& record, Opcode opcode, std::span<char> payload) {
    static_cast<void>(record), static_cast<void>(opcode), static_cast<void>(payload);
  }

  // hub::Deliverer::joined(), for a connection of this mode.
  virtual void on_joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state) {
    static_cast<void>(record), static_cast<void>(tag), static_cast<void>(state);
  }

  // What its clients take it for.
  virtual CloseText closes_with(Cause cause) const { return close_text(cause); }
  // A text message in the place of Pings, sent every websocket_ping_interval whatever the client says; empty: Pings,
  // after silence.
  virtual std::string_view heartbeat() const { return {}; }

  // As net::PhaseHandler::may_move(), on_adopted() and on_given().
  virtual bool may_move(const record::Record& record) { return static_cast<void>(record), true; }
  virtual void on_adopted(record::Record& record) { static_cast<void>(record); }
  virtual void on_given(record::Record& record) { static_cast<void>(record); }

  // Once for every on_open, when the connection is about to go.  Nothing can be sent any more.
  virtual void on_gone(record::Record& record, const Ending& ending) = 0;
};

}  // namespace beamgate::ws
