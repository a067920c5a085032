// Connection resource: /connections/<id> beside the methods, in plain HTTP.
//
//   POST    the body is sent as one frame, text or binary by its content type (body_kind.h)
//   GET     what is known of the connection
//   DELETE  closes; ?code= (1000) and ?reason=
// A reply is {"result":{...}}.
//
// Errors     404 for an id that no worker knows: never seen, or gone.  400 for text that is no UTF-8 or a close
//            code that may not be sent.  409 when the connection is closing, or its queue is full and the
//            location's slow-reader policy has been applied.  413 above publication_max.  503 with
//            Retry-After when the bus to the other workers is full.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "worker/api/connection_calls.h"
#include "worker/api/reply.h"
#include "worker/api/route.h"
#include "worker/http/exchange.h"

namespace beamgate::api {

struct ResourceAnswer {
  uint16_t status = 200;
  std::string body;
};

// With the JSON that says why.
ResourceAnswer failure(uint16_t status, ErrorCode code, std::string_view detail);

// Runs a request on a connection and calls done once, at once or later.
// REQUIRES: route names one; the method is POST, GET, HEAD or DELETE.
void run_resource(ConnectionCalls& calls, const Route& route, const http::Request& request, std::string_view body,
                  uint64_t bytes_max, std::function<void(ResourceAnswer&&)> done);

}  // namespace beamgate::api
