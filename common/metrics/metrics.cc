#include "common/metrics/metrics.h"

#include <string_view>

#include "common/base/bytes.h"

namespace beamgate::metrics {
namespace {

constexpr auto Counter = Kind::Counter;
constexpr auto Gauge = Kind::Gauge;

constexpr const char* kRefused = "Connections refused or closed before they were served, by reason.";
constexpr const char* kPauses = "Times accepting had to wait, by reason.";
constexpr const char* kResponses = "HTTP responses, by the class of their status.";
constexpr const char* kRequestsRefused = "HTTP requests refused, by reason.";
constexpr const char* kByProtocol = "WebSocket connections open now, by the protocol spoken over them.";
constexpr const char* kHandshakesRefused = "WebSocket handshakes refused, by reason.";
constexpr const char* kCloses = "Connections in use that the gateway closed, by reason.";
constexpr const char* kRateExceeded = "WebSocket messages that came faster than websocket_rate, by what was done.";
constexpr const char* kSubscriptionsRefused = "Subscriptions that clients of an open connection did not get, by reason.";
constexpr const char* kPublicationsRefused = "What clients meant to publish and could not, by reason.";
constexpr const char* kDropped = "Messages that did not reach whom they were for, by reason.";
constexpr const char* kBusQueue = "Bytes that wait on the bus, by direction.";
constexpr const char* kWebhookFailures = "Webhook requests that failed, by reason.";
constexpr const char* kUpstreamFailures = "Upstream attempts that failed, by reason.";
constexpr const char* kChecksFailed = "Health checks of upstream servers that failed, by reason.";
constexpr const char* kTlsFailed = "TLS handshakes with clients that failed, by reason.";
constexpr const char* kEventsDropped = "Webhook events that were not delivered, by reason.";
constexpr const char* kFloods = "HTTP/2 connections ended because of a flood, by what there was too much of.";
constexpr const char* kLinesLost = "Lines of logs that could not be written.";
constexpr const char* kLost = "Connections that a dead worker left and no successor could go on with, by reason.";
constexpr const char* kReloads = "Reloads of the configuration, by their result.";
constexpr const char* kUpgrades = "Binary upgrades, by their result.";

constexpr Row kRows[] = {
    {"connections_accepted", "", Counter, "Client connections accepted."},
    {"connections_active", "", Gauge, "Client connections open now, streams of HTTP/2 that are WebSockets included."},
    {"connections_reading", "", Gauge, "HTTP/1 connections on which the head of a request is coming."},
    {"connections_refused", "reason=\"worker_connections\"", Counter, kRefused},
    {"connections_refused", "reason=\"connections_per_address\"", Counter, kRefused},
    {"connections_refused", "reason=\"proxy_header\"", Counter, kRefused},
    {"connections_refused", "reason=\"timeout\"", Counter, kRefused},
    {"connections_refused", "reason=\"memory\"", Counter, kRefused},
    {"connections_moved", "", Counter, "Connections given to another worker, at a reload or an upgrade."},
    {"accept_pauses", "reason=\"worker_connections\"", Counter, kPauses},
    {"accept_pauses", "reason=\"descriptors\"", Counter, kPauses},
    {"bytes_received", "", Counter, "Bytes read from clients."},
    {"bytes_sent", "", Counter, "Bytes written to clients."},
    {"http_requests", "", Counter, "HTTP requests read."},
    {"http_requests_active", "", Gauge, "HTTP/1 requests being answered now."},
    {"http_responses", "class=\"2xx\"", Counter, kResponses},
    {"http_responses", "class=\"3xx\"", Counter, kResponses},
    {"http_responses", "class=\"4xx\"", Counter, kResponses},
    {"http_responses", "class=\"5xx\"", Counter, kResponses},
    {"requests_refused", "reason=\"limit_req\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"limit_conn\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"memory_limit\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"access\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"malformed\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"too_large\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"timeout\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"not_passed_on\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"body_lost\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"tls\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"origin\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"token\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"channel\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"channel_full\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"application\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"unreachable\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"bus_queue\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"taps\"", Counter, kRequestsRefused},
    {"requests_refused", "reason=\"shutdown\"", Counter, kRequestsRefused},
    {"limit_req_delayed", "", Counter, "Requests that limit_req has held back."},
    {"websockets_active", "", Gauge, "WebSocket connections open now."},
    {"websockets", "protocol=\"raw\"", Gauge, kByProtocol},
    {"websockets", "protocol=\"echo\"", Gauge, kByProtocol},
    {"websockets", "protocol=\"pusher\"", Gauge, kByProtocol},
    {"websockets", "protocol=\"phoenix\"", Gauge, kByProtocol},
    {"websockets", "protocol=\"centrifuge\"", Gauge, kByProtocol},
    {"event_streams_active", "", Gauge, "Event streams (sse) open now."},
    {"lines_active", "", Gauge, "Connections of line blocks open now."},
    {"long_polls_active", "", Gauge, "Requests of longpoll that wait now."},
    {"websocket_handshakes", "", Counter, "WebSocket handshakes completed."},
    {"websocket_handshakes_refused", "reason=\"application\"", Counter, kHandshakesRefused},
    {"websocket_handshakes_refused", "reason=\"unreachable\"", Counter, kHandshakesRefused},
    {"websocket_handshakes_refused", "reason=\"malformed\"", Counter, kHandshakesRefused},
    {"websocket_handshakes_refused", "reason=\"origin\"", Counter, kHandshakesRefused},
    {"websocket_handshakes_refused", "reason=\"token\"", Counter, kHandshakesRefused},
    {"websocket_handshakes_refused", "reason=\"channel\"", Counter, kHandshakesRefused},
    {"websocket_handshakes_refused", "reason=\"channel_full\"", Counter, kHandshakesRefused},
    {"websocket_handshakes_refused", "reason=\"memory\"", Counter, kHandshakesRefused},
    {"websocket_handshakes_refused", "reason=\"shutdown\"", Counter, kHandshakesRefused},
    {"messages_received", "", Counter, "WebSocket messages received from clients."},
    {"messages_sent", "", Counter, "WebSocket messages sent to one client (replies, direct sends)."},
    {"connections_closed", "reason=\"slow_reader\"", Counter, kCloses},
    {"connections_closed", "reason=\"protocol_error\"", Counter, kCloses},
    {"connections_closed", "reason=\"message_too_big\"", Counter, kCloses},
    {"connections_closed", "reason=\"idle\"", Counter, kCloses},
    {"connections_closed", "reason=\"shutdown\"", Counter, kCloses},
    {"connections_closed", "reason=\"rate\"", Counter, kCloses},
    {"connections_closed", "reason=\"api\"", Counter, kCloses},
    {"connections_closed", "reason=\"application\"", Counter, kCloses},
    {"connections_closed", "reason=\"unreachable\"", Counter, kCloses},
    {"connections_closed", "reason=\"token\"", Counter, kCloses},
    {"connections_closed", "reason=\"handshake\"", Counter, kCloses},
    {"connections_closed", "reason=\"connections_max\"", Counter, kCloses},
    {"connections_closed", "reason=\"not_configured\"", Counter, kCloses},
    {"connections_closed", "reason=\"missed\"", Counter, kCloses},
    {"connections_closed", "reason=\"memory\"", Counter, kCloses},
    {"connections_closed", "reason=\"send_timeout\"", Counter, kCloses},
    {"websocket_rate_exceeded", "action=\"delayed\"", Counter, kRateExceeded},
    {"websocket_rate_exceeded", "action=\"dropped\"", Counter, kRateExceeded},
    {"websocket_rate_exceeded", "action=\"closed\"", Counter, kRateExceeded},
    {"subscriptions_refused", "reason=\"channel\"", Counter, kSubscriptionsRefused},
    {"subscriptions_refused", "reason=\"token\"", Counter, kSubscriptionsRefused},
    {"subscriptions_refused", "reason=\"channel_full\"", Counter, kSubscriptionsRefused},
    {"subscriptions_refused", "reason=\"application\"", Counter, kSubscriptionsRefused},
    {"subscriptions_refused", "reason=\"unreachable\"", Counter, kSubscriptionsRefused},
    {"publications_refused", "reason=\"denied\"", Counter, kPublicationsRefused},
    {"publications_refused", "reason=\"too_large\"", Counter, kPublicationsRefused},
    {"publications_refused", "reason=\"event\"", Counter, kPublicationsRefused},
    {"publications_refused", "reason=\"rate\"", Counter, kPublicationsRefused},
    {"publications_refused", "reason=\"application\"", Counter, kPublicationsRefused},
    {"publications_refused", "reason=\"unreachable\"", Counter, kPublicationsRefused},
    {"publications_refused", "reason=\"bus_queue\"", Counter, kPublicationsRefused},
    {"messages_dropped", "reason=\"slow_reader\"", Counter, kDropped},
    {"messages_dropped", "reason=\"skipped\"", Counter, kDropped},
    {"messages_dropped", "reason=\"memory\"", Counter, kDropped},
    {"messages_dropped", "reason=\"application\"", Counter, kDropped},
    {"messages_dropped", "reason=\"event\"", Counter, kDropped},
    {"messages_dropped", "reason=\"conflated\"", Counter, kDropped},
    {"messages_dropped", "reason=\"bus_queue\"", Counter, kDropped},
    {"hub_channels", "", Gauge, "Channels with a subscriber, counted per worker."},
    {"hub_subscriptions", "", Gauge, "Subscriptions held."},
    {"hub_publications", "", Counter, "Publications accepted."},
    {"hub_deliveries", "", Counter, "Publications handed to subscribers, one per subscriber."},
    {"bus_bytes_sent", "", Counter, "Bytes sent on the bus by workers."},
    {"bus_bytes_received", "", Counter, "Bytes received from the bus by workers."},
    {"bus_frames_sent", "", Counter, "Frames sent on the bus by workers."},
    {"bus_frames_received", "", Counter, "Frames received from the bus by workers."},
    {"bus_queue_bytes", "direction=\"to_master\"", Gauge, kBusQueue, true},
    {"bus_queue_bytes", "direction=\"to_worker\"", Gauge, kBusQueue, true},
    {"webhook_requests", "", Counter, "Webhook requests sent."},
    {"webhook_failures", "reason=\"connect\"", Counter, kWebhookFailures},
    {"webhook_failures", "reason=\"tls\"", Counter, kWebhookFailures},
    {"webhook_failures", "reason=\"timeout\"", Counter, kWebhookFailures},
    {"webhook_failures", "reason=\"closed\"", Counter, kWebhookFailures},
    {"webhook_failures", "reason=\"malformed\"", Counter, kWebhookFailures},
    {"webhook_failures", "reason=\"too_large\"", Counter, kWebhookFailures},
    {"webhook_failures", "reason=\"status\"", Counter, kWebhookFailures},
    {"webhook_failures", "reason=\"queue_full\"", Counter, kWebhookFailures},
    {"webhook_failures", "reason=\"breaker\"", Counter, kWebhookFailures},
    {"webhook_retries", "", Counter, "Webhook requests sent again."},
    {"webhook_requests_active", "", Gauge, "Webhook requests that wait for their answer."},
    {"webhook_events_dropped", "reason=\"queue_full\"", Counter, kEventsDropped},
    {"webhook_events_dropped", "reason=\"given_up\"", Counter, kEventsDropped},
    {"webhook_events_dropped", "reason=\"not_configured\"", Counter, kEventsDropped},
    {"webhook_events_dropped", "reason=\"shutdown\"", Counter, kEventsDropped},
    {"webhook_breaker_opened", "", Counter, "Times a circuit breaker opened."},
    {"upstream_requests", "", Counter, "Requests proxied to upstream servers."},
    {"upstream_failures", "reason=\"connect\"", Counter, kUpstreamFailures},
    {"upstream_failures", "reason=\"tls\"", Counter, kUpstreamFailures},
    {"upstream_failures", "reason=\"timeout\"", Counter, kUpstreamFailures},
    {"upstream_failures", "reason=\"closed\"", Counter, kUpstreamFailures},
    {"upstream_failures", "reason=\"malformed\"", Counter, kUpstreamFailures},
    {"upstream_failures", "reason=\"status\"", Counter, kUpstreamFailures},
    {"upstream_connections_opened", "", Counter, "Connections opened to upstream servers."},
    {"upstream_retries", "", Counter, "Requests passed on once more after an attempt had failed."},
    {"upstream_checks", "", Counter, "Health checks of upstream servers made."},
    {"upstream_checks_failed", "reason=\"connect\"", Counter, kChecksFailed},
    {"upstream_checks_failed", "reason=\"timeout\"", Counter, kChecksFailed},
    {"upstream_checks_failed", "reason=\"closed\"", Counter, kChecksFailed},
    {"upstream_checks_failed", "reason=\"malformed\"", Counter, kChecksFailed},
    {"upstream_checks_failed", "reason=\"status\"", Counter, kChecksFailed},
    {"upstream_resolutions", "", Counter, "Names of upstream servers asked for at run time."},
    {"upstream_resolutions_failed", "", Counter, "Names of upstream servers that were not answered."},
    {"upstream_tunnels_active", "", Gauge, "WebSockets passed through to upstream servers now."},
    {"tls_handshakes", "", Counter, "TLS handshakes with clients that were completed."},
    {"tls_handshakes_failed", "reason=\"version\"", Counter, kTlsFailed},
    {"tls_handshakes_failed", "reason=\"cipher\"", Counter, kTlsFailed},
    {"tls_handshakes_failed", "reason=\"protocol\"", Counter, kTlsFailed},
    {"tls_handshakes_failed", "reason=\"rejected\"", Counter, kTlsFailed},
    {"tls_handshakes_failed", "reason=\"alert\"", Counter, kTlsFailed},
    {"tls_handshakes_failed", "reason=\"malformed\"", Counter, kTlsFailed},
    {"tls_handshakes_failed", "reason=\"timeout\"", Counter, kTlsFailed},
    {"tls_handshakes_failed", "reason=\"closed\"", Counter, kTlsFailed},
    {"tls_sessions_resumed", "", Counter, "Completed TLS handshakes that resumed a session."},
    {"http_gzip_input_bytes", "", Counter, "Bytes of response bodies that were compressed."},
    {"http_gzip_output_bytes", "", Counter, "Bytes that they were compressed to."},
    {"http2_connections", "", Counter, "Connections that speak HTTP/2."},
    {"http2_connections_active", "", Gauge, "Connections with HTTP/2 open now."},
    {"http2_floods", "reason=\"resets\"", Counter, kFloods},
    {"http2_floods", "reason=\"settings\"", Counter, kFloods},
    {"http2_floods", "reason=\"pings\"", Counter, kFloods},
    {"http2_floods", "reason=\"empty\"", Counter, kFloods},
    {"http2_floods", "reason=\"window_updates\"", Counter, kFloods},
    {"http2_floods", "reason=\"priorities\"", Counter, kFloods},
    {"http2_floods", "reason=\"continuations\"", Counter, kFloods},
    {"http2_floods", "reason=\"unread\"", Counter, kFloods},
    {"log_lines_lost", "log=\"error\"", Counter, kLinesLost},
    {"log_lines_lost", "log=\"access\"", Counter, kLinesLost},
    {"system_calls_refused", "", Counter, "System calls that the sandbox of a worker has refused."},
    {"workers", "", Gauge, "Workers that serve."},
    {"worker_connections", "", Gauge, "Client connections open now, by worker.", true},
    {"worker_resident_memory_bytes", "", Gauge, "Memory of a worker that is resident, shared pages included.", true},
    {"worker_arena_bytes", "", Gauge, "Memory of a worker's arena in use: queued messages, subscriptions, bytes half read.",
     true},
    {"worker_loop_lag_seconds", "", Gauge, "How late a worker's latest tick was, at worst in the last five to ten seconds.", true, true},
    {"worker_deaths", "", Counter, "Deaths of workers that had a keeper, whose connections a successor took over."},
    {"worker_adoptions", "", Counter, "Times a successor took over what a dead worker had left."},
    {"connections_adopted", "", Counter, "Connections that went on in a successor of their worker."},
    {"connections_lost", "reason=\"request\"", Counter, kLost},
    {"connections_lost", "reason=\"tls\"", Counter, kLost},
    {"connections_lost", "reason=\"blamed\"", Counter, kLost},
    {"connections_lost", "reason=\"unreadable\"", Counter, kLost},
    {"workers_started", "", Counter, "Workers started by the master; successors are started by keepers."},
    {"workers_misbehaved", "", Counter, "Workers ended by the master because of what they sent."},
    {"reloads", "result=\"done\"", Counter, kReloads},
    {"reloads", "result=\"refused\"", Counter, kReloads},
    {"upgrades", "result=\"done\"", Counter, kUpgrades},
    {"upgrades", "result=\"refused\"", Counter, kUpgrades},
    {"upgrades", "result=\"undone\"", Counter, kUpgrades},
    {"keepers_died", "", Counter, "Keepers of workers that died, and whose standby took their place."},
    {"workers_repaired", "", Counter, "Times a worker without keeper and standby gave its place to a complete new one."},
    {"masters_reattached", "", Counter, "Times a new master went on with the workers of one that was killed."},
};
static_assert(std::size(kRows) == static_cast<size_t>(Metric::kCount), "one row per metric, in order");

constexpr int64_t kCallBoundsUs[] = {1'000,   2'500,   5'000,     10'000,    25'000,    50'000,    100'000,
                                     250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000};
constexpr int64_t kLagBoundsUs[] = {500,    1'000,   2'500,   5'000,   10'000,    25'000,
                                    50'000, 100'000, 250'000, 500'000, 1'000'000, 10'000'000};

constexpr HistogramRow kHistograms[] = {
    {"webhook_duration_seconds", "Time from a webhook request to the end of its answer.", kCallBoundsUs},
    {"upstream_duration_seconds", "Time from passing a request on to the head of the upstream server's answer.",
     kCallBoundsUs},
    {"loop_lag_seconds", "How late the ticks of the workers' loops were, twenty a second each.", kLagBoundsUs},
};
static_assert(std::size(kHistograms) == static_cast<size_t>(Histogram::kCount), "one row per histogram, in order");
static_assert(std::size(kCallBoundsUs) <= kBucketsMax && std::size(kLagBoundsUs) <= kBucketsMax);

}  // namespace

const Row& row_of(Metric metric) { return kRows[static_cast<size_t>(metric)]; }

const HistogramRow& row_of(Histogram histogram) { return kHistograms[static_cast<size_t>(histogram)]; }

void Page::observe(Histogram histogram, int64_t us) {
  const std::span<const int64_t> bounds = row_of(histogram).bounds_us;
  size_t bucket = 0;
  while (bucket < bounds.size() && us > bounds[bucket]) ++bucket;
  Distribution& to = distributions[static_cast<size_t>(histogram)];
  add_to(to.buckets[bucket], 1);
  add_to(to.sum_us, static_cast<uint64_t>(us < 0 ? 0 : us));
}

uint64_t sum(std::span<const Page* const> pages, Metric metric) {
  uint64_t total = 0;
  for (const Page* page : pages) total += page->get(metric);
  return total;
}

uint64_t sum_of_name(std::span<const Page* const> pages, Metric any) {
  const std::string_view name = row_of(any).name;
  uint64_t total = 0;
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (name == kRows[i].name) total += sum(pages, static_cast<Metric>(i));
  }
  return total;
}

void reset_gauges(Page& page) {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (kRows[i].kind == Kind::Gauge) page.cells[i].store(0, std::memory_order_relaxed);
  }
}

std::string name_of(Metric metric) {
  const Row& row = row_of(metric);
  std::string out = row.name;
  if (row.kind == Kind::Counter) out += "_total";
  if (*row.labels != '\0') (out += '{') += std::string(row.labels) + '}';
  return out;
}

uint64_t layout() {
  std::string text = std::to_string(sizeof(Page));
  for (const Row& row : kRows) (((text += ' ') += row.name) += ' ') += row.labels;
  for (const HistogramRow& row : kHistograms) {
    (text += ' ') += row.name;
    for (const int64_t bound : row.bounds_us) (text += ' ') += std::to_string(bound);
  }
  return stable_hash(text);
}

}  // namespace beamgate::metrics
