#include "worker/api/dashboard/overview.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/ipc/recent.h"

namespace beamgate::api::dashboard {
namespace {

using ipc::RecentLines;
using metrics::Metric;

struct Figure {
  const char* name;
  Metric metric;
};

constexpr Figure kMore[] = {
    {"websockets_raw", Metric::WebSocketsRaw},
    {"websockets_echo", Metric::WebSocketsEcho},
    {"websockets_pusher", Metric::WebSocketsPusher},
    {"websockets_phoenix", Metric::WebSocketsPhoenix},
    {"websockets_centrifuge", Metric::WebSocketsCentrifuge},
    {"event_streams", Metric::EventStreamsActive},
    {"long_polls", Metric::LongPollsActive},
    {"lines", Metric::LinesActive},
    {"webhook_requests", Metric::WebhookRequests},
    {"webhooks_active", Metric::WebhooksActive},
    {"responses_5xx", Metric::HttpResponses5xx},
    {"closes_slow_reader", Metric::ClosesSlowReader},
    {"connections_moved", Metric::ConnectionsMoved},
    {"worker_deaths", Metric::WorkerDeaths},
    {"reloads_done", Metric::ReloadsDone},
    {"reloads_refused", Metric::ReloadsRefused},
    {"upgrades_done", Metric::UpgradesDone},
};

json::Value durations(std::span<const metrics::Page* const> pages, metrics::Histogram histogram) {
  const std::span<const int64_t> bounds_us = metrics::row_of(histogram).bounds_us;
  std::vector<uint64_t> buckets(bounds_us.size() + 1);
  uint64_t sum_us = 0;
  for (const metrics::Page* page : pages) {
    const auto& from = page->distributions[static_cast<size_t>(histogram)];
    for (size_t i = 0; i < buckets.size(); ++i) buckets[i] += from.buckets[i].load(std::memory_order_relaxed);
    sum_us += from.sum_us.load(std::memory_order_relaxed);
  }
  json::Value bounds = json::Value::array(), counts = json::Value::array();
  for (const int64_t bound : bounds_us) bounds.push(bound);
  for (const uint64_t count : buckets) counts.push(count);
  json::Value out;
  out.set("bounds_us", std::move(bounds)).set("buckets", std::move(counts)).set("sum_us", sum_us);
  return out;
}

json::Value row_of(const RecentLines::Line& line) {
  json::Value row;
  row.set("time_ms", line.time_ms).set("pid", line.pid).set("level", log::level_name(line.level)).set("text", line.text);
  return row;
}

json::Value history_of(const ipc::Recent& recent) {
  const std::vector<RecentLines::Line> lines = recent.history.read();
  json::Value rows = json::Value::array();
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) rows.push(row_of(*line));
  return rows;
}

json::Value troubles_of(const ipc::Recent& recent) {
  std::vector<std::pair<size_t, RecentLines::Line>> all;
  for (size_t slot = 0; slot < std::size(recent.troubles); ++slot) {
    for (RecentLines::Line& line : recent.troubles[slot].read()) all.emplace_back(slot, std::move(line));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.second.time_ms > b.second.time_ms; });
  if (all.size() > Overview::kTroublesMax) all.resize(Overview::kTroublesMax);
  json::Value rows = json::Value::array();
  for (const auto& [slot, line] : all) {
    json::Value row = row_of(line);
    row.set("slot", slot == ipc::kSlotsMax ? json::Value() : json::Value(static_cast<unsigned>(slot)));
    rows.push(std::move(row));
  }
  return rows;
}

}  // namespace

bool Overview::ask(std::function<void(json::Value&&)> done) {
  return workers_.ask([this, done = std::move(done)](json::Value&& workers) {
    json::Value out = describe();
    out.set("workers", std::move(workers));
    done(std::move(out));
  });
}

json::Value Overview::describe() const {
  json::Value more;
  for (const Figure& figure : kMore) more.set(figure.name, metrics::sum(context_.metrics_all, figure.metric));
  more.set("webhook_failures", metrics::sum_of_name(context_.metrics_all, Metric::WebhookFailuresConnect));
  json::Value out;
  out.set("time_ms", wall_ms()).set("status", status_.status()).set("more", std::move(more));
  out.set("webhooks", durations(context_.metrics_all, metrics::Histogram::WebhookDuration));
  const bool known = context_.recent != nullptr;
  out.set("history", known ? history_of(*context_.recent) : json::Value::array());
  out.set("troubles", known ? troubles_of(*context_.recent) : json::Value::array());
  return out;
}

}  // namespace beamgate::api::dashboard
