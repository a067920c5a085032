// WebSockets: the protocol layer of every connection in phase WebSocket (RFC 6455, RFC 7692).
//
// Owner      One per worker.  It holds no object per connection: frames are read through a pooled wslay frame
//            context, and what is between two reads is in the record (WebSocketState, message).
// Thread     Worker loop thread only.
// Limits     websocket_message_max (1009), websocket_send_queue with websocket_slow_reader (1008 or drop),
//            websocket_idle_timeout, websocket_close_timeout.
// Errors     A peer that breaks the protocol is closed with the code RFC 6455 section 7.4.1 names.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "worker/context.h"
#include "worker/http/exchange.h"
#include "worker/net/phase_handler.h"
#include "worker/ws/application.h"

namespace beamgate::ws {

class WebSockets final : public net::PhaseHandler, public http::Handler {
 public:
  explicit WebSockets(Context& context);
  ~WebSockets() override;

  void set_application(config::WebSocketAction::Mode mode, Application& application);

  // http::Handler: validates an upgrade request and hands it to the location's application.
  void handle(http::Exchange& exchange) override;

  // Answers 101 with the negotiated subprotocol and extensions and these extra fields; on_open follows.
  // False when the exchange could not be upgraded any more.
  bool accept(http::Exchange& exchange, const std::vector<http::ResponseField>& extra = {});

  // One message to one connection, compressed where negotiated.  False: refused (closing, or the queue is
  // full and the slow-reader policy has been applied).
  bool send(record::Record& record, Opcode opcode, std::string_view payload);

  // A frame encoded by encode_message(), shared by many connections; same policy as send().
  bool send_frame(record::Record& record, record::Ref frame);

  // An unmasked single-frame message ready for the wire; kNull when the arena is full.
  record::Ref encode_message(Opcode opcode, std::string_view payload);

  // Starts the closing handshake; the connection goes when the peer has answered or after
  // websocket_close_timeout.  reason: UTF-8, cut to 123 bytes.  Idempotent.
  void close(record::Record& record, uint16_t code, std::string_view reason = {});

  // Closes every connection with this code, spread evenly over `over_ms`.
  void drain(uint16_t code, int64_t over_ms);

  // net::PhaseHandler
  size_t on_bytes(record::Record& record, std::span<char> bytes) override;
  void on_end(record::Record& record) override;
  void on_drained(record::Record& record) override;
  void on_deadline(record::Record& record) override;
  void on_gone(record::Record& record) override;
};

}  // namespace beamgate::ws
