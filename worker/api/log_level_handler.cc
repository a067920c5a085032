#include "worker/api/log_level_handler.h"

#include <string>

#include "common/ipc/switches.h"
#include "common/json/value.h"
#include "worker/settings.h"

namespace beamgate::api {

void LogLevelHandler::handle(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  ipc::Switches* switches = context_.switches;
  if (switches == nullptr) return exchange.respond_status(404);
  const log::Level configured = context_.settings.current().error_log_level;
  if (request.method == "POST") {
    const std::string wanted = request.argument("level");
    log::Level level = configured;
    if (wanted == "configured") {
      switches->reset();
    } else if (log::parse_level(wanted, level)) {
      switches->set_log_level(level);
    } else {
      return exchange.respond(400, "text/plain", "expected level=, with debug, info, notice, warn, error, crit, alert, emerg or configured\n");
    }
    context_.log.notice("log_level_set", {{"level", wanted}});
  } else if (request.method != "GET" && request.method != "HEAD") {
    return exchange.respond(405, "text/plain", "405 Method Not Allowed\n", {{"Allow", "GET, HEAD, POST"}});
  }
  json::Value answer;
  answer.set("level", log::level_name(switches->log_level(configured)));
  answer.set("configured", log::level_name(configured));
  exchange.respond(200, "application/json", answer.dump() + '\n', {{"Cache-Control", "no-store"}});
}

}  // namespace beamgate::api
