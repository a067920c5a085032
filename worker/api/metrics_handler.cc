#include "worker/api/metrics_handler.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/metrics/exposition.h"
#include "common/version.h"
#include "worker/api/read_only.h"
#include "worker/upstream/server_states.h"

namespace beamgate::api {
namespace {

using metrics::Exposition;
using metrics::Metric;

// The weight of one member of Accept (RFC 9110 section 12.4.2); 1 when it says none.
double weight_of(std::string_view parameters) {
  while (!parameters.empty()) {
    const size_t end = std::min(parameters.find(';'), parameters.size());
    const std::string_view parameter = trim(parameters.substr(0, end));
    if (parameter.size() > 2 && (parameter[0] == 'q' || parameter[0] == 'Q') && parameter[1] == '=') {
      return strtod(std::string(parameter.substr(2)).c_str(), nullptr);
    }
    parameters.remove_prefix(std::min(end + 1, parameters.size()));
  }
  return 1;
}

metrics::Format format_for(std::string_view accept) {
  double open = 0;
  double plain = 0;
  while (!accept.empty()) {
    const size_t end = std::min(accept.find(','), accept.size());
    const std::string_view member = accept.substr(0, end);
    const size_t semicolon = std::min(member.find(';'), member.size());
    const std::string_view type = trim(member.substr(0, semicolon));
    const double weight = weight_of(member.substr(semicolon));
    if (iequals(type, "application/openmetrics-text")) open = std::max(open, weight);
    if (iequals(type, "text/plain")) plain = std::max(plain, weight);
    accept.remove_prefix(std::min(end + 1, accept.size()));
  }
  return open > 0 && open >= plain ? metrics::Format::OpenMetrics : metrics::Format::Prometheus;
}

// All open connections once, by what is spoken and what they are at.
void add_connections(std::span<const metrics::Page* const> pages, Exposition& out) {
  const auto count = [pages](Metric metric) { return metrics::sum(pages, metric); };
  const uint64_t tunnels = count(Metric::UpstreamTunnelsActive);
  const uint64_t websockets = count(Metric::WebSocketsActive);
  const uint64_t http2 = count(Metric::Http2ConnectionsActive);
  const uint64_t others = std::min(count(Metric::ConnectionsActive), UINT64_MAX / 2);
  const uint64_t streams = count(Metric::EventStreamsActive);
  const uint64_t lines = count(Metric::LinesActive);
  const uint64_t http1 = others - std::min(others, websockets + http2 + streams + lines);
  const uint64_t reading = std::min(count(Metric::ConnectionsReading), http1);
  const uint64_t answering = std::min(count(Metric::HttpRequestsActive), http1 - reading);
  const uint64_t passing = std::min(tunnels, answering);
  const struct {
    const char* labels;
    uint64_t value;
  } rows[] = {
      {"protocol=\"http1\",state=\"reading\"", reading},
      {"protocol=\"http1\",state=\"answering\"", answering - passing},
      {"protocol=\"http1\",state=\"idle\"", http1 - reading - answering},
      {"protocol=\"http2\",state=\"open\"", http2},
      {"protocol=\"event_stream\",state=\"open\"", streams},
      {"protocol=\"line\",state=\"open\"", lines},
      {"protocol=\"tunnel\",state=\"open\"", passing},
      {"protocol=\"websocket\",state=\"open\"", websockets},
  };
  out.begin_gauge("connections", "Client connections open now, by what is spoken over them and what they are at.");
  for (const auto& row : rows) out.line("connections", row.labels, std::to_string(row.value));
}

void add_servers(const upstream::Pool& upstreams, Exposition& out) {
  out.begin_gauge("upstream_server_up", "Whether a server may be given requests, as this worker sees it.");
  for (const upstream::ServerState& server : upstream::server_states(upstreams, monotonic_ms())) {
    out.line("upstream_server_up",
             metrics::label("upstream", server.upstream) + ',' + metrics::label("server", server.server),
             server.state == "up" ? "1" : "0");
  }
}

}  // namespace

void MetricsHandler::handle(http::Exchange& exchange) {
  if (!admit_reading(exchange)) return;
  const metrics::Format format = format_for(exchange.request().field("Accept"));
  Exposition out(format, context_.started_ms);
  out.begin_gauge("build_info", "The version that answers, as a label.");
  out.line("build_info", metrics::label("version", BEAMGATE_VERSION), "1");
  out.begin_gauge("start_time_seconds", "Unix time at which the node began.");
  out.line("start_time_seconds", {}, std::to_string(context_.started_ms / 1'000));
  add_connections(context_.metrics_all, out);
  out.add_pages(context_.metrics_all);
  add_servers(upstreams_, out);
  const char* type = format == metrics::Format::OpenMetrics
                         ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                         : "text/plain; version=0.0.4; charset=utf-8";
  exchange.respond(200, type, std::move(out).finish(), {{"Cache-Control", "no-store"}, {"Vary", "Accept"}});
}

}  // namespace beamgate::api
