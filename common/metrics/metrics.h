// Metrics: rows of counters and gauges, one shared page per worker, text exposition summed over workers.
//
// Owner      The master maps one Page per worker slot before it forks; every process sees all pages.
// Thread     Each page has one writer, its worker; readers may be anywhere (relaxed atomics).
// A metric is one row in metrics.cc's table; names follow beamgate_<area>_<what>_<unit>[_total].
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>

namespace beamgate::metrics {

// Keep the order of the rows in metrics.cc; a static_assert there compares the counts.
enum class Metric : uint16_t {
  ConnectionsAccepted,
  ConnectionsActive,         // Gauge.
  ConnectionsRefusedLimit,   // worker_connections or the per-address limit.
  AcceptPauses,              // No descriptor left; accepting waits.
  BytesReceived,
  BytesSent,
  HttpRequests,
  HttpResponses2xx,
  HttpResponses3xx,
  HttpResponses4xx,
  HttpResponses5xx,
  WebSocketsActive,          // Gauge.
  WebSocketHandshakes,
  WebSocketHandshakesRefused,
  MessagesReceived,
  MessagesSent,              // Replies and direct sends; deliveries are counted apart.
  ClosesSlowReader,
  ClosesProtocolError,
  ClosesMessageTooBig,
  ClosesIdle,
  MessagesDroppedSlowReader,
  HubChannels,               // Gauge: channels with a local subscriber.
  HubSubscriptions,          // Gauge.
  HubPublications,           // Publications accepted from this worker.
  HubDeliveries,
  HubGaps,                   // Publications this worker missed because its bus queue was full.
  BusBytesSent,
  BusBytesReceived,
  BusFramesSent,
  BusFramesReceived,
  WebhookRequests,
  WebhookFailures,
  WebhookRetries,
  WebhookEventsDropped,      // The bounded event queue was full.
  WebhookBreakerOpened,
  UpstreamRequests,
  UpstreamFailures,
  UpstreamConnectionsOpened,
  UpstreamRetries,           // Requests passed to another server, or again on a fresh connection.
  UpstreamChecks,            // Health checks made.
  UpstreamChecksFailed,
  UpstreamResolutions,       // Names asked for again.
  UpstreamResolutionsFailed,
  UpstreamTunnelsActive,     // Gauge.
  ProxyHeadersRefused,
  LimitReqDelayed,
  LimitReqRefused,
  LimitConnRefused,
  MemoryLimitRefused,
  TlsHandshakes,
  TlsHandshakesFailed,
  TlsSessionsResumed,
  GzipBytesIn,               // Of bodies, before they were compressed ...
  GzipBytesOut,              // ... and after.
  Http2Connections,
  Http2ConnectionsActive,    // Gauge.
  Http2FloodsResets,         // Connections ended because of too many of these.
  Http2FloodsSettings,
  Http2FloodsPings,
  Http2FloodsEmpty,
  Http2FloodsWindowUpdates,
  Http2FloodsPriorities,
  Http2FloodsContinuations,
  Http2FloodsUnread,
  kCount,
};

struct Page {
  std::atomic<uint64_t> cells[static_cast<size_t>(Metric::kCount)];

  void add(Metric metric, uint64_t amount = 1) {
    // One writer per page: a plain add, published for readers.
    auto& cell = cells[static_cast<size_t>(metric)];
    cell.store(cell.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void subtract(Metric metric, uint64_t amount = 1) {
    auto& cell = cells[static_cast<size_t>(metric)];
    cell.store(cell.load(std::memory_order_relaxed) - amount, std::memory_order_relaxed);
  }
  uint64_t get(Metric metric) const {
    return cells[static_cast<size_t>(metric)].load(std::memory_order_relaxed);
  }
};

// Prometheus text format 0.0.4, each metric summed over the pages.
std::string expose_text(std::span<const Page* const> pages);

// For the page of a worker that is dead: gauges become 0, counters stay.
void reset_gauges(Page& page);

// The sum of one metric over the pages.
uint64_t sum(std::span<const Page* const> pages, Metric metric);

// The short name of a metric, without the beamgate_ prefix; for status pages.
const char* name_of(Metric metric);

}  // namespace beamgate::metrics
