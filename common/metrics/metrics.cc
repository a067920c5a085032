#include "common/metrics/metrics.h"

namespace beamgate::metrics {
namespace {

enum class Kind : uint8_t { Counter, Gauge };

struct Row {
  const char* name;
  Kind kind;
  const char* help;
};

constexpr Row kRows[] = {
    {"connections_accepted_total", Kind::Counter, "Client connections accepted."},
    {"connections_active", Kind::Gauge, "Client connections open now."},
    {"connections_refused_limit_total", Kind::Counter, "Connections closed at accept because of a limit."},
    {"accept_pauses_total", Kind::Counter, "Times accepting waited for a free descriptor."},
    {"bytes_received_total", Kind::Counter, "Bytes read from clients."},
    {"bytes_sent_total", Kind::Counter, "Bytes written to clients."},
    {"http_requests_total", Kind::Counter, "HTTP requests read."},
    {"http_responses_2xx_total", Kind::Counter, "HTTP responses with a 2xx status."},
    {"http_responses_3xx_total", Kind::Counter, "HTTP responses with a 3xx status."},
    {"http_responses_4xx_total", Kind::Counter, "HTTP responses with a 4xx status."},
    {"http_responses_5xx_total", Kind::Counter, "HTTP responses with a 5xx status."},
    {"websockets_active", Kind::Gauge, "WebSocket connections open now."},
    {"websocket_handshakes_total", Kind::Counter, "WebSocket handshakes completed."},
    {"websocket_handshakes_refused_total", Kind::Counter, "WebSocket handshakes refused."},
    {"messages_received_total", Kind::Counter, "WebSocket messages received from clients."},
    {"messages_sent_total", Kind::Counter, "WebSocket messages sent to one client (replies, direct sends)."},
    {"closes_slow_reader_total", Kind::Counter, "Connections closed because the client did not read."},
    {"closes_protocol_error_total", Kind::Counter, "Connections closed because the client broke the protocol."},
    {"closes_message_too_big_total", Kind::Counter, "Connections closed because of a message above the limit."},
    {"closes_idle_total", Kind::Counter, "Connections closed because nothing came from the client in time."},
    {"messages_dropped_slow_reader_total", Kind::Counter, "Messages dropped because the client did not read."},
    {"hub_channels", Kind::Gauge, "Channels with a subscriber, counted per worker."},
    {"hub_subscriptions", Kind::Gauge, "Subscriptions held."},
    {"hub_publications_total", Kind::Counter, "Publications accepted."},
    {"hub_deliveries_total", Kind::Counter, "Publications handed to subscribers, one per subscriber."},
    {"hub_gaps_total", Kind::Counter, "Publications a worker missed because its bus queue was full."},
    {"bus_bytes_sent_total", Kind::Counter, "Bytes sent on the bus by workers."},
    {"bus_bytes_received_total", Kind::Counter, "Bytes received from the bus by workers."},
    {"bus_frames_sent_total", Kind::Counter, "Frames sent on the bus by workers."},
    {"bus_frames_received_total", Kind::Counter, "Frames received from the bus by workers."},
    {"webhook_requests_total", Kind::Counter, "Webhook requests sent."},
    {"webhook_failures_total", Kind::Counter, "Webhook requests that failed."},
    {"webhook_retries_total", Kind::Counter, "Webhook requests sent again."},
    {"webhook_events_dropped_total", Kind::Counter, "Events dropped because the webhook queue was full."},
    {"webhook_breaker_opened_total", Kind::Counter, "Times a circuit breaker opened."},
    {"upstream_requests_total", Kind::Counter, "Requests proxied to upstream servers."},
    {"upstream_failures_total", Kind::Counter, "Upstream attempts that failed."},
    {"upstream_connections_opened_total", Kind::Counter, "Connections opened to upstream servers."},
    {"upstream_retries_total", Kind::Counter, "Requests passed on once more after an attempt had failed."},
    {"upstream_checks_total", Kind::Counter, "Health checks of upstream servers made."},
    {"upstream_checks_failed_total", Kind::Counter, "Health checks of upstream servers that failed."},
    {"upstream_resolutions_total", Kind::Counter, "Names of upstream servers asked for at run time."},
    {"upstream_resolutions_failed_total", Kind::Counter, "Names of upstream servers that were not answered."},
    {"upstream_tunnels_active", Kind::Gauge, "WebSockets passed through to upstream servers now."},
    {"proxy_headers_refused_total", Kind::Counter, "Connections closed because of a bad or late PROXY header."},
    {"limit_req_delayed_total", Kind::Counter, "Requests that limit_req has held back."},
    {"limit_req_refused_total", Kind::Counter, "Requests that limit_req has refused."},
    {"limit_conn_refused_total", Kind::Counter, "Requests that limit_conn has refused."},
    {"memory_limit_refused_total", Kind::Counter, "Requests refused because of memory_limit."},
    {"tls_handshakes_total", Kind::Counter, "TLS handshakes with clients that were completed."},
    {"tls_handshakes_failed_total", Kind::Counter, "TLS handshakes with clients that failed."},
    {"tls_sessions_resumed_total", Kind::Counter, "Completed TLS handshakes that resumed a session."},
    {"http_gzip_input_bytes_total", Kind::Counter, "Bytes of response bodies that were compressed."},
    {"http_gzip_output_bytes_total", Kind::Counter, "Bytes that they were compressed to."},
    {"http2_connections_total", Kind::Counter, "Connections that speak HTTP/2."},
    {"http2_connections_active", Kind::Gauge, "Connections with HTTP/2 open now."},
    {"http2_floods_resets_total", Kind::Counter, "HTTP/2 connections ended because of too many streams begun for nothing."},
    {"http2_floods_settings_total", Kind::Counter, "HTTP/2 connections ended because of too many SETTINGS."},
    {"http2_floods_pings_total", Kind::Counter, "HTTP/2 connections ended because of too many PING."},
    {"http2_floods_empty_total", Kind::Counter, "HTTP/2 connections ended because of too many frames without content."},
    {"http2_floods_window_updates_total", Kind::Counter, "HTTP/2 connections ended because of too many WINDOW_UPDATE."},
    {"http2_floods_priorities_total", Kind::Counter, "HTTP/2 connections ended because of too many PRIORITY."},
    {"http2_floods_continuations_total", Kind::Counter, "HTTP/2 connections ended because of too many CONTINUATION."},
    {"http2_floods_unread_total", Kind::Counter, "HTTP/2 connections ended because answers were not read."},
};
static_assert(std::size(kRows) == static_cast<size_t>(Metric::kCount), "one row per metric, in order");

}  // namespace

uint64_t sum(std::span<const Page* const> pages, Metric metric) {
  uint64_t total = 0;
  for (const Page* page : pages) total += page->get(metric);
  return total;
}

void reset_gauges(Page& page) {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (kRows[i].kind == Kind::Gauge) page.cells[i].store(0, std::memory_order_relaxed);
  }
}

const char* name_of(Metric metric) { return kRows[static_cast<size_t>(metric)].name; }

std::string expose_text(std::span<const Page* const> pages) {
  std::string out;
  for (size_t i = 0; i < std::size(kRows); ++i) {
    const std::string name = std::string("beamgate_") + kRows[i].name;
    out += "# HELP " + name + ' ' + kRows[i].help + '\n';
    out += "# TYPE " + name + (kRows[i].kind == Kind::Gauge ? " gauge\n" : " counter\n");
    out += name + ' ' + std::to_string(sum(pages, static_cast<Metric>(i))) + '\n';
  }
  return out;
}

}  // namespace beamgate::metrics
