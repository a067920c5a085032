#include "worker/api/read_only.h"

namespace beamgate::api {

bool admit_reading(http::Exchange& exchange) {
  const std::string_view method = exchange.request().method;
  if (method == "GET" || method == "HEAD") return true;
  exchange.respond(405, "text/plain", "405 Method Not Allowed\n", {{"Allow", "GET, HEAD"}});
  return false;
}

}  // namespace beamgate::api
