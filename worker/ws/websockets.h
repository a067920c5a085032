// WebSockets: the protocol layer of every connection in phase WebSocket (RFC 6455, RFC 7692).
//
// Owner      One per worker.  It holds no object per connection: what is between two reads is in the record
//            (WebSocketState, message).
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
#include "worker/record/record.h"
#include "worker/ws/application.h"
#include "worker/ws/deflate.h"
#include "worker/ws/message_rates.h"
#include "worker/ws/message_reader.h"
#include "worker/ws/pong_watch.h"
#include "worker/ws/tap.h"

namespace beamgate::ws {

//   Open      -- peer Close ----------------------------> Both: answer it, close gracefully
//   Open      -- close(), slow reader, idle, drain -----> SentClose, for websocket_close_timeout at most
//   Open      -- the peer breaks the protocol ----------> SentClose, and closed gracefully at once
//   SentClose -- peer Close ----------------------------> Both: close gracefully
class WebSockets final : public net::PhaseHandler, public http::Handler {
 public:
  explicit WebSockets(Context& context);
  ~WebSockets() override;

  void set_application(config::WebSocketAction::Mode mode, Application& application);
  void set_pong_watch(PongWatch& watch) { pong_watch_ = &watch; }
  void set_tap(Tap& tap) { tap_ = &tap; }

  // http::Handler: validates an upgrade request and hands it to the location's application.
  void handle(http::Exchange& exchange) override;

  // Answers 101 with the negotiated subprotocol and extensions and these extra fields; on_open follows.
  // A Sec-WebSocket-Protocol among them takes the place of the negotiated one.
  // False when the exchange could not be upgraded any more.
  bool accept(http::Exchange& exchange, const std::vector<http::ResponseField>& extra = {});

  // The same for a connection that is let in without a handshake of its own.  REQUIRES: it is in no WebSocket phase.
  void open(record::Record& record, const config::Location& location);

  // One message to one connection, compressed where negotiated.  False: refused (closing, or the queue is
  // full and the slow-reader policy has been applied).
  bool send(record::Record& record, Opcode opcode, std::string_view payload);

  // Which frame a message to many should reach this connection in.  Every connection can take Plain.
  enum class Variant : uint8_t {
    Plain,       // send_frame() with a frame that isn't compressed.
    Compressed,  // send_frame() with a compressed one, shared with others.
    Own,         // send(): its compression has a window of its own.
  };
  Variant variant_for(const record::Record& record, size_t payload_bytes) const;

  // A frame encoded by encode_message(), shared by many connections; same policy as send().
  bool send_frame(record::Record& record, record::Ref frame);

  // An unmasked single-frame message ready for the wire; kNull when the arena is full.  compressed: for those
  // whose variant it is; it stays plain where compressing gains nothing.
  // ping: not empty: a Ping with this payload is right behind it, and is sent, dropped or moved together with it.
  record::Ref encode_message(Opcode opcode, std::string_view payload, bool compressed = false,
                             std::string_view ping = {});

  // hub::Deliverer::joined().
  void on_joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state);

  // What the connection receives or is sent, for whoever looks at its user.
  void show(const record::Record& record, Tap::Way way, Opcode opcode, std::string_view payload) {
    if (tap_ != nullptr && tap_->looks_at(record)) tap_->show(record, way, opcode == Opcode::Binary, payload);
  }

  // Starts the closing handshake; the connection goes when the peer has answered or after
  // websocket_close_timeout.  why: what it is counted as; reason: UTF-8, cut to 123 bytes.  Idempotent.
  void close(record::Record& record, metrics::Metric why, uint16_t code, std::string_view reason = {});

  // Closes every connection for this cause, spread evenly over `over_ms`, which begin in `after_ms`.
  void drain(Cause cause, int64_t after_ms, int64_t over_ms);

  // net::PhaseHandler
  void on_enter(record::Record& record) override;
  size_t on_bytes(record::Record& record, std::span<const char> bytes) override;
  void on_end(record::Record& record) override;
  void on_drained(record::Record& record) override;
  void on_deadline(record::Record& record) override;
  bool may_move(const record::Record& record) override;
  void on_adopted(record::Record& record) override;
  void on_given(record::Record& record) override;
  void on_gone(record::Record& record) override;

 private:
  static constexpr size_t kApplications = static_cast<size_t>(record::kLastProtocol) + 1;  // By record::Protocol.
  // What one connection may have handled before others get their turn.
  static constexpr uint32_t kStepsPerTurn = 1024;
  static constexpr size_t kMessageBytesPerTurn = 256 << 10;

  struct Drain {
    bool active = false;
    Cause cause = Cause::Shutdown;
  };

  const config::WebSocketAction& action_of(const record::Record& record) const;
  Application& application_of(const record::Record& record) const;
  bool is_open(const record::Record& record) const;
  void count_open(const record::Record& record);
  void uncount_open(const record::Record& record);
  bool waits_for_room(record::Record& record, const config::WebSocketAction& action);
  void act(record::Record& record, const Step& step, const config::WebSocketAction& action);
  void deliver(record::Record& record, const Step& step, const config::WebSocketAction& action);
  bool inflate(record::Record& record, std::span<char>& payload, Opcode opcode, uint64_t bytes_max);
  std::string_view compress(record::Record& record, std::string_view payload);
  void on_close_frame(record::Record& record, std::string_view payload);
  void close_for(record::Record& record, Cause cause);
  void fail(record::Record& record, uint16_t code, std::string_view reason);
  void send_close(record::Record& record, uint16_t code, std::string_view reason);
  void begin_closing(record::Record& record, uint16_t code, bool by_peer);
  bool may_drop(const record::Record& record) const;
  bool send_control(record::Record& record, Opcode opcode, std::string_view payload);
  template <typename Try>
  bool send_or_apply_policy(record::Record& record, size_t bytes, Try&& try_to_send);

  Context& context_;
  MessageReader reader_;
  Deflate deflate_;
  MessageRates rates_;
  Application* applications_[kApplications] = {};
  PongWatch* pong_watch_ = nullptr;
  Tap* tap_ = nullptr;
  size_t handled_bytes_ = 0;  // Of messages, inflated, in this call of on_bytes().
  const config::WebSocketAction fallback_;  // For a location that no configuration knows any more.
  Drain drain_;
};

}  // namespace beamgate::ws
