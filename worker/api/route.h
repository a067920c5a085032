// Route: what a request's path below an API location names.
//
//   PREFIX                        Single: {"method","params"}, Centrifugo's older one-endpoint form
//   PREFIX batch                  Batch
//   PREFIX METHOD                 Method
//   PREFIX connections            Connections: all of them
//   PREFIX connections/ID         Connection
//   PREFIX users/ID               User; the id is all that follows
//   PREFIX channels/NAME          Channel; likewise
//   PREFIX taps/USER              Tap; likewise
// PREFIX is the location (location_path.h).
#pragma once

#include <string>
#include <string_view>

#include "worker/http/exchange.h"

namespace beamgate::api {

struct Route {
  enum class Kind : uint8_t { Unknown, Single, Batch, Method, Connections, Connection, User, Channel, Tap };

  Kind kind = Kind::Unknown;
  std::string name;  // Of the method, connection, user (of a tap, too) or channel.
};

Route route_of(const http::Request& request);
// below: the path behind PREFIX.
Route route_of(std::string_view below);

}  // namespace beamgate::api
