// Read only: pages that can be looked at and nothing else.
#pragma once

#include "worker/http/exchange.h"

namespace beamgate::api {

// True for GET and HEAD; anything else is answered with 405 here.
bool admit_reading(http::Exchange& exchange);

}  // namespace beamgate::api
