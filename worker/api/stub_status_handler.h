// StubStatusHandler: nginx's "stub_status" page, byte by byte, for a location with that directive.
//
// Owner      Worker; one per process.  Every worker answers for the whole node.
// Counting   As nginx does: a request being answered is writing, and so is a WebSocket, an event stream or a connection of
//            a line block; a head that has begun to come is reading; all other connections wait.
// Source     https://nginx.org/en/docs/http/ngx_http_stub_status_module.html
#pragma once

#include "worker/context.h"
#include "worker/http/exchange.h"

namespace beamgate::api {

class StubStatusHandler final : public http::Handler {
 public:
  explicit StubStatusHandler(Context& context) : context_(context) {}

  void handle(http::Exchange& exchange) override;

 private:
  Context& context_;
};

}  // namespace beamgate::api
