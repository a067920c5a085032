// Raw handshake: what a raw WebSocket is when it opens, once Admission has let it in.
//
// websocket_subscribe's channels and those of the application's reply are joined and confirmed before the 101, so that
// whatever is published once the client knows it is connected reaches it.
//
// Who it is may be said by a token (websocket_token).  Channels that the request names, by a variable, follow their rules
// where there is no application that could have refused it.
//
// Owner      Raw.
// Thread     Worker loop thread only.
#pragma once

#include <vector>

#include "worker/context.h"
#include "worker/http/exchange.h"
#include "worker/proto/action_runner.h"
#include "worker/proto/admission.h"
#include "worker/proto/channel_policy.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/subjects.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto {

class RawHandshake final : public Door {
 public:
  RawHandshake(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets, ConnectionOps& ops,
               ChannelPolicy& policy, ActionRunner& runner, Subjects& subjects)
      : hub_(context.hub), exchanges_(exchanges), websockets_(websockets), ops_(ops), policy_(policy), runner_(runner),
        admission_(context, exchanges, ops, subjects) {}

  void begin(http::Exchange& exchange);

 private:
  void let_in(http::Exchange& exchange, record::Record& record, SharedActions actions,
              std::vector<http::ResponseField> fields) override;
  void accept(http::ExchangeId id, SharedActions actions, const std::vector<http::ResponseField>& fields);
  bool admit(http::Exchange& exchange, std::string& user);
  bool may_follow(http::Exchange& exchange, const std::vector<std::string>& tokens_name);
  bool join_channels(http::Exchange& exchange, record::Record& record);
  Result<void> enter(record::Record& record);

  hub::Hub& hub_;
  http::Exchanges& exchanges_;
  ws::WebSockets& websockets_;
  ConnectionOps& ops_;
  ChannelPolicy& policy_;
  ActionRunner& runner_;
  Admission admission_;
};

}  // namespace beamgate::proto
