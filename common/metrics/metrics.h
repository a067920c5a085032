// Metrics: rows of counters, gauges and histograms, one shared page per worker and one of the master.
//
// Owner      The master maps one Page per worker slot, and its own, before it forks; every process sees all pages.
// Thread     Each cell has one writer, nearly always the page's worker; readers may be anywhere (relaxed atomics).
// A metric is one row in metrics.cc's table; names follow beamgate_<area>_<what>_<unit>[_total].  Rows of one name stand
// together and differ by their labels, which are closed sets.  What has the label "reason" - why a connection was refused
// or closed, a message dropped, a call failed - or "action" is explained in beamgate-troubleshooting(7); a test compares.
// exposition.h writes them.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>

namespace beamgate::metrics {

// Keep the order of the rows in metrics.cc; a static_assert there compares the counts.
enum class Metric : uint16_t {
  ConnectionsAccepted,
  ConnectionsActive,               // Gauge.
  ConnectionsReading,              // Gauge: HTTP/1 requests whose head has begun to come.
  ConnectionsRefusedFull,          // No slot left, of worker_connections or of its memory.
  ConnectionsRefusedAddress,       // connections_per_address
  ConnectionsRefusedProxyHeader,
  ConnectionsRefusedTimeout,       // Nothing has come of it.
  ConnectionsRefusedMemory,        // Of the system's.
  ConnectionsMoved,                // To another worker, at a reload or an upgrade.
  AcceptPausesFull,                // worker_connections
  AcceptPausesDescriptors,
  BytesReceived,
  BytesSent,
  HttpRequests,
  HttpRequestsActive,              // Gauge: HTTP/1 requests being answered.
  HttpResponses2xx,
  HttpResponses3xx,
  HttpResponses4xx,
  HttpResponses5xx,
  RequestsRefusedLimitReq,
  RequestsRefusedLimitConn,
  RequestsRefusedMemory,
  RequestsRefusedAccess,           // allow, deny
  RequestsRefusedMalformed,
  RequestsRefusedTooLarge,
  RequestsRefusedTimeout,
  RequestsRefusedNotPassedOn,      // It is none that an application could be given.
  RequestsRefusedBodyLost,         // Its body could not be kept on the disk.
  RequestsRefusedTls,              // Came without it, or with the wrong certificate.
  RequestsRefusedOrigin,           // Of sse and longpoll, as are those for a channel.
  RequestsRefusedToken,            // None, or a wrong one, or the same of a key.
  RequestsRefusedChannel,
  RequestsRefusedChannelFull,
  RequestsRefusedApplication,
  RequestsRefusedUnreachable,      // The application could not be asked.
  RequestsRefusedBus,
  RequestsRefusedTaps,             // No place for one more.
  RequestsRefusedDraining,
  LimitReqDelayed,
  WebSocketsActive,                // Gauge.
  WebSocketsRaw,                   // Gauge, as what follows: those of one client protocol.
  WebSocketsEcho,
  WebSocketsPusher,
  WebSocketsPhoenix,
  WebSocketsCentrifuge,
  EventStreamsActive,              // Gauge, as are the two below.
  LinesActive,
  LongPollsActive,
  WebSocketHandshakes,
  WebSocketHandshakesApplication,  // It has said no.
  WebSocketHandshakesUnreachable,  // It could not be asked.
  WebSocketHandshakesMalformed,
  WebSocketHandshakesOrigin,
  WebSocketHandshakesToken,
  WebSocketHandshakesChannel,
  WebSocketHandshakesChannelFull,
  WebSocketHandshakesMemory,
  WebSocketHandshakesDraining,
  MessagesReceived,
  MessagesSent,                    // Replies and direct sends; deliveries are counted apart.
  ClosesSlowReader,
  ClosesProtocolError,
  ClosesMessageTooBig,
  ClosesIdle,
  ClosesDraining,
  ClosesTooFast,                   // websocket_rate
  ClosesApi,
  ClosesApplication,               // By its answer to a webhook.
  ClosesUnreachable,               // The application could not be asked.
  ClosesToken,
  ClosesHandshake,                 // Refused in the words of a protocol that has to open for it.
  ClosesConnectionsMax,            // Of its app.
  ClosesNotConfigured,             // Since a reload.
  ClosesMissed,                    // It can't be told what it has missed.
  ClosesMemory,
  ClosesSendTimeout,
  RateExceededDelayed,             // Messages above websocket_rate.
  RateExceededDropped,
  RateExceededClosed,
  SubscriptionsRefusedChannel,
  SubscriptionsRefusedToken,
  SubscriptionsRefusedFull,
  SubscriptionsRefusedApplication,
  SubscriptionsRefusedUnreachable,
  PublicationsRefusedDenied,
  PublicationsRefusedTooLarge,
  PublicationsRefusedEvent,        // By the name of what it says has happened.
  PublicationsRefusedRate,
  PublicationsRefusedApplication,
  PublicationsRefusedUnreachable,
  PublicationsRefusedBus,
  MessagesDroppedSlowReader,
  MessagesDroppedSkipped,
  MessagesDroppedMemory,
  MessagesDroppedApplication,      // That were for the application.
  MessagesDroppedEvent,            // Its name means something else in a subscriber's protocol.
  MessagesDroppedConflated,        // Counted once, by the master.
  HubGaps,                         // Publications this worker missed because its bus queue was full.
  HubChannels,                     // Gauge: channels with a local subscriber.
  HubSubscriptions,                // Gauge.
  HubPublications,                 // Publications accepted from this worker.
  HubDeliveries,
  BusBytesSent,
  BusBytesReceived,
  BusFramesSent,
  BusFramesReceived,
  BusQueueToMaster,                // Gauge: bytes.
  BusQueueToWorker,                // Gauge: bytes.  Writer: the master.
  WebhookRequests,
  WebhookFailuresConnect,
  WebhookFailuresTls,
  WebhookFailuresTimeout,
  WebhookFailuresClosed,           // By the application, before its answer was whole.
  WebhookFailuresMalformed,
  WebhookFailuresTooLarge,
  WebhookFailuresStatus,           // A status that answers nothing: 5xx, 3xx, of messages and events most 4xx.
  WebhookFailuresQueueFull,        // Not sent, as is the next.
  WebhookFailuresBreaker,
  WebhookRetries,
  WebhooksActive,                  // Gauge: calls in flight.
  WebhookEventsDropped,            // The bounded event queue was full.
  WebhookEventsGivenUp,            // Too old, or the application said 410.
  WebhookEventsOrphaned,           // Their webhook is not configured any more.
  WebhookEventsLost,               // Their worker has ended, and nobody has taken them.
  WebhookBreakerOpened,
  UpstreamRequests,
  UpstreamFailuresConnect,
  UpstreamFailuresTls,
  UpstreamFailuresTimeout,
  UpstreamFailuresClosed,          // By the server, before its answer was whole.
  UpstreamFailuresMalformed,
  UpstreamFailuresStatus,          // Of proxy_next_upstream, or FastCGI's word for it.
  UpstreamConnectionsOpened,
  UpstreamRetries,                 // Requests passed to another server, or again on a fresh connection.
  UpstreamChecks,                  // Health checks made.
  UpstreamChecksFailedConnect,
  UpstreamChecksFailedTimeout,
  UpstreamChecksFailedClosed,
  UpstreamChecksFailedMalformed,
  UpstreamChecksFailedStatus,
  UpstreamResolutions,             // Names asked for again.
  UpstreamResolutionsFailed,
  UpstreamTunnelsActive,           // Gauge.
  TlsHandshakes,
  TlsHandshakesFailedVersion,      // tls::HandshakeFailure::Kind
  TlsHandshakesFailedCipher,
  TlsHandshakesFailedProtocol,
  TlsHandshakesFailedRejected,
  TlsHandshakesFailedAlert,
  TlsHandshakesFailedMalformed,
  TlsHandshakesFailedTimeout,
  TlsHandshakesFailedClosed,
  TlsSessionsResumed,
  GzipBytesIn,                     // Of bodies, before they were compressed ...
  GzipBytesOut,                    // ... and after.
  Http2Connections,
  Http2ConnectionsActive,          // Gauge.
  Http2FloodsResets,               // Connections ended because of too many of these.
  Http2FloodsSettings,
  Http2FloodsPings,
  Http2FloodsEmpty,
  Http2FloodsWindowUpdates,
  Http2FloodsPriorities,
  Http2FloodsContinuations,
  Http2FloodsUnread,
  ErrorLogLinesLost,
  AccessLogLinesLost,
  SystemCallsRefused,              // By the worker's sandbox.
  Workers,                         // Gauge, as all up to here: 1 while a worker serves.
  WorkerConnections,               // ConnectionsActive once more, shown for each worker.
  WorkerMemoryResident,
  WorkerMemoryArena,
  WorkerLoopLag,                   // Microseconds.
  WorkerDeaths,                    // Of workers that had clients; counted by the successor.
  WorkerAdoptions,
  ConnectionsAdopted,
  ConnectionsLostRequest,          // One was being answered.
  ConnectionsLostTls,              // TLS or HTTP/2, whose state died with the worker.
  ConnectionsLostBlamed,
  ConnectionsLostUnreadable,
  WorkersStarted,                  // From here on the master's page.
  WorkersMisbehaved,
  ReloadsDone,
  ReloadsRefused,
  UpgradesDone,
  UpgradesRefused,
  UpgradesUndone,
  KeepersDied,
  WorkersRepaired,
  MastersReattached,
  kCount,
};

enum class Histogram : uint8_t {
  WebhookDuration,
  UpstreamDuration,  // From the choice of a server to the head of its answer.
  LoopLag,
  kCount,
};
constexpr size_t kBucketsMax = 14;

struct Page {
  std::atomic<uint64_t> cells[static_cast<size_t>(Metric::kCount)];
  struct Distribution {
    std::atomic<uint64_t> buckets[kBucketsMax + 1];  // Not cumulative; the one behind the last bound is +Inf.
    std::atomic<uint64_t> sum_us;
  } distributions[static_cast<size_t>(Histogram::kCount)];

  void add(Metric metric, uint64_t amount = 1) { add_to(cells[static_cast<size_t>(metric)], amount); }
  void subtract(Metric metric, uint64_t amount = 1) { add_to(cells[static_cast<size_t>(metric)], 0 - amount); }
  void set(Metric metric, uint64_t value) {
    cells[static_cast<size_t>(metric)].store(value, std::memory_order_relaxed);
  }
  void observe(Histogram histogram, int64_t us);
  uint64_t get(Metric metric) const {
    return cells[static_cast<size_t>(metric)].load(std::memory_order_relaxed);
  }

 private:
  // One writer per cell: a plain add, published for readers.
  static void add_to(std::atomic<uint64_t>& cell, uint64_t amount) {
    cell.store(cell.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
};

enum class Kind : uint8_t { Counter, Gauge };

struct Row {
  const char* name;    // Without "beamgate_" and, of a counter, "_total".
  const char* labels;  // label="value",...; may be empty.
  Kind kind;
  const char* help;
  bool per_worker = false;       // Not summed: one line for each worker that serves, labelled with its slot.
  bool is_microseconds = false;  // Shown in seconds.
};

struct HistogramRow {
  const char* name;
  const char* help;
  std::span<const int64_t> bounds_us;
};

const Row& row_of(Metric metric);
const HistogramRow& row_of(Histogram histogram);

// For the page of a worker that is dead: gauges become 0, counters stay.
void reset_gauges(Page& page);

// The sum of one metric over the pages.
uint64_t sum(std::span<const Page* const> pages, Metric metric);
// The same of all rows that have the name of this one, whatever their labels.
uint64_t sum_of_name(std::span<const Page* const> pages, Metric any);

// The short name of a metric, without the beamgate_ prefix; for logs.
std::string name_of(Metric metric);

// Changes with the rows: pages of another layout can't be read.
uint64_t layout();

}  // namespace beamgate::metrics
