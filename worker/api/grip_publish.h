// GRIP publish: publications as GRIP libraries post them, as to Pushpin's /publish.
//
// Request    POST {"items":[{"channel":c,"formats":{"ws-message":{...}}}, ...]}; an item's message may also stand in the
//            item itself ("ws-message": {...}).  Of a message: content (text), or content-bin (base64), which is
//            binary unless type is "text"; action send.  Items without a ws-message, and other actions, do nothing.
// Answers    200 "Published\n", or {"message":"Published"} for who accepts application/json; 400 with a reason, 401
//            without a good key, 405, 413: nothing is published then.  503 when the bus is full: the first items may have
//            been published, and a list that is sent again publishes them again.
// Access     api_key: as for the API (api_key.h), or in a bearer token that it has signed (JWT, HS256), or as the bearer
//            token itself.
// Limits     client_max_body_size, publication_max, kItemsMax.
// Source     https://pushpin.org/docs/protocols/grip/
#pragma once

#include <string>

#include "worker/context.h"
#include "worker/http/exchange.h"

namespace beamgate::api {

class GripPublish final : public http::Handler {
 public:
  static constexpr size_t kItemsMax = 1'000;

  GripPublish(Context& context, http::Exchanges& exchanges) : context_(context), exchanges_(exchanges) {}

  void handle(http::Exchange& exchange) override;

 private:
  void on_body(http::Exchange& exchange, const std::string& body);

  Context& context_;
  http::Exchanges& exchanges_;
};

}  // namespace beamgate::api
