// ApiHandler: the HTTP API of a location with "api on": access, routing, bodies and statuses.
//
// Owner      Worker; one per process.
// Thread     Worker loop thread only.
// Answers    As Centrifugo: a method that was understood answers 200 with {"result"} or {"error":{"code",
//            "message"}}.  Other statuses: 400 body is not JSON, 401 no valid key, 403 keyless and from a
//            browser, 404 unknown method, 405 other than POST, 413 body too big, 503 with Retry-After when the
//            bus to the master is full.  An empty body counts as {}.
// Raw        "publish?channel=NAME" takes the whole body as the data: JSON of a JSON content type (it must be
//            valid and goes out compact), text or binary byte for byte of any other (body_kind.h).
// Resources  /connections/<id>: connection_resource.h; /users/<id> and /channels/<name>: named_resources.h; /taps/<user>:
//            user_taps.h.
// Repeats    Idempotency-Key or X-Idempotency-Key, or "idempotency_key" in the command: a publication with a key
//            that the hub has seen within the last minutes is not made again.
// Limits     client_max_body_size, publication_max, those of the methods, and kAnswerBytesMax for what they
//            answer (error 106).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/api/connection_calls.h"
#include "worker/api/channel_calls.h"
#include "worker/api/methods.h"
#include "worker/api/named_resources.h"
#include "worker/api/node_calls.h"
#include "worker/api/publishing.h"
#include "worker/api/route.h"
#include "worker/api/user_taps.h"
#include "worker/context.h"
#include "worker/http/exchange.h"

namespace beamgate::api {

class ApiHandler final : public http::Handler {
 public:
  // Serves hub::Remote's methods from now on.
  ApiHandler(Context& context, http::Exchanges& exchanges, proto::ConnectionOps& ops);

  void handle(http::Exchange& exchange) override;

  // For another page that has admitted the request and says what it is for.
  void serve(http::Exchange& exchange, const Route& route);

  // For other APIs of the same things.
  ConnectionCalls& connections() { return connections_; }
  NodeCalls& nodes() { return nodes_; }
  UserTaps& taps() { return taps_; }

  // Below what an HTTP connection may have queued.
  static constexpr size_t kAnswerBytesMax = size_t{12} << 20;

 private:
  void on_body(http::Exchange& exchange, const Route& route, std::string&& body);
  void run_method(http::Exchange& exchange, const std::string& method, const std::string& body);
  void run_raw_publish(http::Exchange& exchange, std::string&& body);
  void run_single(http::Exchange& exchange, const std::string& body);
  void run_batch_request(http::Exchange& exchange, const std::string& body);
  void run_tap(http::Exchange& exchange, const std::string& user);
  void run_on_resource(http::Exchange& exchange, const Route& route, std::string&& body);

  void answer(http::ExchangeId id, uint16_t status, std::string_view body);
  void answer_reply(http::ExchangeId id, Reply&& reply);

  Context& context_;
  http::Exchanges& exchanges_;
  ConnectionCalls connections_;
  NodeCalls nodes_;
  UserTaps taps_;
  ChannelCalls channels_;
  Publishing publishing_;
  UserCalls users_;
  Methods methods_;
  NamedResources named_;
};

}  // namespace beamgate::api
