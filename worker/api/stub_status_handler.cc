#include "worker/api/stub_status_handler.h"

#include <algorithm>
#include <string>

#include "worker/api/read_only.h"

namespace beamgate::api {

using metrics::Metric;

void StubStatusHandler::handle(http::Exchange& exchange) {
  if (!admit_reading(exchange)) return;
  const auto count = [this](Metric metric) { return metrics::sum(context_.metrics_all, metric); };
  const uint64_t active = count(Metric::ConnectionsActive);
  const uint64_t handled = count(Metric::ConnectionsAccepted);
  const uint64_t refused = count(Metric::ConnectionsRefusedFull) + count(Metric::ConnectionsRefusedAddress) +
                           count(Metric::ConnectionsRefusedMemory);
  // They are read one by one while others count on.
  const uint64_t reading = std::min(count(Metric::ConnectionsReading), active);
  const uint64_t busy = count(Metric::HttpRequestsActive) + count(Metric::WebSocketsActive) +
                        count(Metric::EventStreamsActive) + count(Metric::LinesActive);
  const uint64_t writing = std::min(busy, active - reading);
  std::string text = "Active connections: " + std::to_string(active) + " \n";
  text += "server accepts handled requests\n";
  text += ' ' + std::to_string(handled + refused) + ' ' + std::to_string(handled) + ' ' +
          std::to_string(count(Metric::HttpRequests)) + " \n";
  text += "Reading: " + std::to_string(reading) + " Writing: " + std::to_string(writing) +
          " Waiting: " + std::to_string(active - reading - writing) + " \n";
  exchange.respond(200, "text/plain", text, {{"Cache-Control", "no-store"}});
}

}  // namespace beamgate::api
