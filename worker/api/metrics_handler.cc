#include "worker/api/metrics_handler.h"

#include "worker/api/read_only.h"

namespace beamgate::api {

void MetricsHandler::handle(http::Exchange& exchange) {
  if (!admit_reading(exchange)) return;
  exchange.respond(200, "text/plain; version=0.0.4; charset=utf-8", metrics::expose_text(context_.metrics_all),
                   {{"Cache-Control", "no-store"}});
}

}  // namespace beamgate::api
