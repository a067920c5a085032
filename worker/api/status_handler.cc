#include "worker/api/status_handler.h"

#include <algorithm>

#include "common/base/clock.h"
#include "common/json/value.h"
#include "common/version.h"
#include "worker/api/read_only.h"
#include "worker/settings.h"
#include "worker/upstream/server_states.h"

namespace beamgate::api {
namespace {

using metrics::Metric;

struct Figure {
  const char* name;
  Metric metric;
};

constexpr Figure kFigures[] = {
    {"connections", Metric::ConnectionsActive},
    {"websockets", Metric::WebSocketsActive},
    {"channels", Metric::HubChannels},
    {"subscriptions", Metric::HubSubscriptions},
    {"accepted", Metric::ConnectionsAccepted},
    {"requests", Metric::HttpRequests},
    {"messages_received", Metric::MessagesReceived},
    {"messages_sent", Metric::MessagesSent},
    {"publications", Metric::HubPublications},
    {"deliveries", Metric::HubDeliveries},
    {"bytes_received", Metric::BytesReceived},
    {"bytes_sent", Metric::BytesSent},
};

json::Value upstream_rows(const upstream::Pool& upstreams) {
  json::Value rows = json::Value::array();
  for (const upstream::ServerState& server : upstream::server_states(upstreams, monotonic_ms())) {
    json::Value row;
    row.set("upstream", server.upstream);
    row.set("server", server.server);
    row.set("state", server.state);
    row.set("backup", server.backup);
    row.set("active", server.active);
    row.set("requests", server.requests);
    row.set("failures", server.failures);
    rows.push(std::move(row));
  }
  return rows;
}

bool wants_plain_text(const http::Request& request) {
  const std::string_view accept = request.field("Accept");
  const size_t plain = accept.find("text/plain");
  return plain != std::string_view::npos && plain < accept.find("application/json");
}

}  // namespace

StatusHandler::StatusHandler(Context& context, const upstream::Pool& upstreams)
    : context_(context),
      upstreams_(upstreams),
      started_ms_(context.started_ms != 0 ? context.started_ms : wall_ms()) {}

json::Value StatusHandler::status() const {
  const auto uptime_s = static_cast<uint64_t>(std::max<int64_t>(0, wall_ms() - started_ms_) / 1000);
  json::Value status;
  status.set("version", BEAMGATE_VERSION);
  status.set("uptime", uptime_s);
  status.set("workers", context_.settings.current().worker_processes);
  for (const Figure& figure : kFigures) {
    status.set(figure.name, metrics::sum(context_.metrics_all, figure.metric));
  }
  status.set("upstreams", upstream_rows(upstreams_));
  return status;
}

void StatusHandler::handle(http::Exchange& exchange) {
  if (!admit_reading(exchange)) return;
  const json::Value status = this->status();
  const std::vector<http::ResponseField> fields = {{"Cache-Control", "no-store"}};
  if (!wants_plain_text(exchange.request())) {
    return exchange.respond(200, "application/json", status.dump() + '\n', fields);
  }
  std::string text;
  for (const auto& [name, value] : *status.as_object()) {
    text += name + ' ' + (value.is_string() ? std::string(*value.as_string()) : value.dump()) + '\n';
  }
  exchange.respond(200, "text/plain; charset=utf-8", text, fields);
}

}  // namespace beamgate::api
