// API key: who may use an API location.
//
// A request shows its key as "X-API-Key: KEY" or "Authorization: apikey KEY".  It is compared with every
// configured key, always with all of them and each in constant time.  A location without keys is open to
// everyone whom allow/deny lets in, except to pages in a browser (they send Origin): otherwise any website
// could use the API of a gateway on its visitor's machine.
#pragma once

#include <string>
#include <vector>

#include "common/base/secret.h"
#include "worker/http/exchange.h"

namespace beamgate::api {

enum class Access : uint8_t { Granted, KeyWanted, BrowserRefused };

Access check_access(const http::Request& request, const std::vector<Secret>& keys);

}  // namespace beamgate::api
