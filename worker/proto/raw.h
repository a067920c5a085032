// Raw: WebSockets without a protocol of their own; each message is one frame.
//
// With a webhook, each message goes to the application and its reply comes back (RawMessages), and the
// application hears of the connection's beginning and end (beamgate.connected, beamgate.disconnected).
// Without one, each message is published to the channel that websocket_publish names, its sender being a
// subscriber like any other.  With neither, messages are read and forgotten: such a location only listens.
//
// Owner      One per worker.
// Thread     Worker loop thread only.
// Limits     See RawMessages.  A publication that finds the bus full waits in the record, and the connection is
//            not read (kPauseBus) until it is sent.
#pragma once

#include "worker/context.h"
#include "worker/http/exchange.h"
#include "worker/proto/action_runner.h"
#include "worker/proto/bus_wait.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/hook_queue.h"
#include "worker/proto/raw_handshake.h"
#include "worker/proto/raw_messages.h"
#include "worker/proto/subjects.h"
#include "worker/ws/application.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto {

class Raw final : public ws::Application {
 public:
  Raw(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets, ConnectionOps& ops);

  void on_handshake(http::Exchange& exchange) override { handshake_.begin(exchange); }
  void on_open(record::Record& record) override;
  void on_message(record::Record& record, ws::Opcode opcode, std::span<char> payload) override;
  bool may_move(const record::Record& record) override;
  void on_adopted(record::Record& record) override;
  void on_given(record::Record& record) override;
  void on_gone(record::Record& record, const ws::Ending& ending) override;

 private:
  const std::shared_ptr<const config::Webhook>& endpoint_of(const record::Record& record) const;
  void publish(record::Record& record, bool binary, std::string_view bytes);
  bool publish_now(const record::Record& record, bool binary, std::string_view bytes);
  void publish_waiting(record::ConnId id);
  void post(record::Record& record, const std::shared_ptr<const config::Webhook>& endpoint, std::string_view type,
            std::string_view data);

  Context& context_;
  ConnectionOps& ops_;
  HookQueue queue_;
  Subjects subjects_;
  BusWait bus_wait_;
  ActionRunner runner_;
  RawHandshake handshake_;
  RawMessages messages_;
};

// Why a connection ended, in one word: "client" and "application" closed it, "lost" without a Close;
// "shutdown", "protocol_error", "too_big", "policy", "internal_error", "restart", "overloaded" are ours.
std::string_view reason_of(const ws::Ending& ending);

}  // namespace beamgate::proto
