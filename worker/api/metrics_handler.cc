#include "worker/api/metrics_handler.h"

#include <string>

#include "common/base/clock.h"
#include "worker/api/read_only.h"
#include "worker/upstream/server_states.h"

namespace beamgate::api {
namespace {

// A label's value, as the format escapes it.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    if (byte == '\\' || byte == '"') out += '\\';
    if (byte == '\n') {
      out += "\\n";
    } else {
      out += byte;
    }
  }
  return out;
}

std::string server_rows(const upstream::Pool& upstreams) {
  std::string out =
      "# HELP beamgate_upstream_server_up Whether a server may be given requests, as this worker sees it.\n"
      "# TYPE beamgate_upstream_server_up gauge\n";
  for (const upstream::ServerState& server : upstream::server_states(upstreams, monotonic_ms())) {
    out += "beamgate_upstream_server_up{upstream=\"" + escaped(server.upstream) + "\",server=\"" +
           escaped(server.server) + "\"} " + (server.state == "up" ? "1\n" : "0\n");
  }
  return out;
}

}  // namespace

void MetricsHandler::handle(http::Exchange& exchange) {
  if (!admit_reading(exchange)) return;
  const std::string text = metrics::expose_text(context_.metrics_all) + server_rows(upstreams_);
  exchange.respond(200, "text/plain; version=0.0.4; charset=utf-8", text,
                   {{"Cache-Control", "no-store"}});
}

}  // namespace beamgate::api
