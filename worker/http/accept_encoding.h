// Accept encoding: whether a client would take gzip.
//
// Source   RFC 9110 sections 12.4.2 (weights) and 12.5.3: a coding that isn't listed has the weight of "*", without
//          which it is refused; 0 refuses.  gzip is taken unless "identity" is listed with a greater weight.
// Errors   A member that breaks the grammar says nothing.
#pragma once

#include "worker/http/exchange.h"

namespace beamgate::http {

// All Accept-Encoding fields of the request are one list; "x-gzip" is gzip (section 8.4.1.3).
bool accepts_gzip(const Request& request);

}  // namespace beamgate::http
