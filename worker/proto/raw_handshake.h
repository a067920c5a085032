// Raw handshake: who may open a raw WebSocket, and what the connection is when it opens.
//
// With a webhook the application is asked first (beamgate.connect): 2xx lets in, 4xx and 5xx are the
// handshake's answer, and when there is no usable answer on_error decides (503, 502 for a broken one).
// websocket_subscribe's channels and those of the reply are joined and confirmed before the 101, so that
// whatever is published once the client knows it is connected reaches it.
//
// Owner      Raw.
// Thread     Worker loop thread only.
// Limits     One call per connection; a client that goes away cancels it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/context.h"
#include "worker/hook/webhooks.h"
#include "worker/http/exchange.h"
#include "worker/proto/action_runner.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/subjects.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto {

class RawHandshake {
 public:
  RawHandshake(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets, ConnectionOps& ops,
               ActionRunner& runner, Subjects& subjects)
      : context_(context), exchanges_(exchanges), websockets_(websockets), ops_(ops), runner_(runner),
        subjects_(subjects) {}

  void begin(http::Exchange& exchange);

 private:
  class Cancel;

  void on_reply(http::ExchangeId id, const hook::Reply& reply);
  void pass_on(http::Exchange& exchange, const hook::Reply& reply);
  void let_in(http::Exchange& exchange, SharedActions actions, std::vector<http::ResponseField> fields);
  void accept(http::ExchangeId id, SharedActions actions, const std::vector<http::ResponseField>& fields);
  bool remember(http::Exchange& exchange);
  bool join_channels(http::Exchange& exchange);
  void refuse(http::Exchange& exchange, uint16_t status, std::string_view text);
  void forget(record::Record& record);

  Context& context_;
  http::Exchanges& exchanges_;
  ws::WebSockets& websockets_;
  ConnectionOps& ops_;
  ActionRunner& runner_;
  Subjects& subjects_;
};

}  // namespace beamgate::proto
