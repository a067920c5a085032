// Location path: what a request's path names below its location.
//
// "" for the location itself.  The location's own part is its pattern as written ("/api/", "/api", "= /api");
// of a regex location it is everything up to the end of its first capture.  A slash behind it doesn't count.
#pragma once

#include <string_view>

#include "worker/http/exchange.h"

namespace beamgate::api {

// Borrows from the request.
std::string_view path_below_location(const http::Request& request);

}  // namespace beamgate::api
