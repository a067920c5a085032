// GRIP publish: publications as GRIP libraries post them, as to Pushpin's /publish.
//
// Request    POST {"items":[{"channel":c,"formats":{"ws-message":{...}}}, ...]}; an item's message may also stand in the
//            item itself ("ws-message": {...}).  Of a message: content (text), or content-bin (base64), which is
//            binary unless type is "text"; or, with action close, code (1000) and reason of the Close frame that its
//            subscribers get.  Items without a ws-message do nothing.
// Order      As the items stand in the list: what is published before a close arrives before it.
// Answers    200 "Published\n", or {"message":"Published"} for who accepts application/json; 400 with a reason, 401
//            without a good key, 405, 413: nothing is published then.  503 when the bus is full: the first items may have
//            been published, and a list that is sent again publishes them again.
// Access     api_key: as for the API (api_key.h), or in a bearer token that it has signed (JWT, HS256), or as the bearer
//            token itself.
// Limits     client_max_body_size, publication_max, kItemsMax.
// Source     https://pushpin.org/docs/protocols/grip/
#pragma once

#include <string>

#include "worker/api/connection_calls.h"
#include "worker/context.h"
#include "worker/http/exchange.h"

namespace beamgate::api {

struct GripItem;

class GripPublish final : public http::Handler {
 public:
  static constexpr size_t kItemsMax = 1'000;

  GripPublish(Context& context, http::Exchanges& exchanges, ConnectionCalls& connections)
      : context_(context), exchanges_(exchanges), connections_(connections) {}

  void handle(http::Exchange& exchange) override;

 private:
  void on_body(http::Exchange& exchange, const std::string& body);

  // False: the bus is full.
  bool publish(const GripItem& item);
  bool close(const GripItem& item);

  Context& context_;
  http::Exchanges& exchanges_;
  ConnectionCalls& connections_;
};

}  // namespace beamgate::api
