#include "worker/api/worker_calls.h"

#include <unistd.h>

#include <map>

#include "common/base/clock.h"
#include "common/ipc/wire.h"
#include "worker/hub/remote.h"

namespace beamgate::api {
namespace {

struct WorkerAnswer {
  uint16_t slot = 0;
  uint32_t pid = 0;
  uint32_t generation = 0;
  uint64_t uptime_s = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.slot), v(m.pid), v(m.generation), v(m.uptime_s); }
};

json::Value row_of(uint16_t worker, const WorkerAnswer& answer, const metrics::Page& page) {
  using metrics::Metric;
  json::Value row;
  row.set("slot", static_cast<unsigned>(answer.slot)).set("worker", static_cast<unsigned>(worker));
  row.set("pid", answer.pid).set("generation", answer.generation).set("uptime", answer.uptime_s);
  row.set("connections", page.get(Metric::WorkerConnections)).set("websockets", page.get(Metric::WebSocketsActive));
  row.set("loop_lag_us", page.get(Metric::WorkerLoopLag)).set("memory", page.get(Metric::WorkerMemoryResident));
  row.set("arena", page.get(Metric::WorkerMemoryArena));
  row.set("messages_received", page.get(Metric::MessagesReceived)).set("deliveries", page.get(Metric::HubDeliveries));
  return row;
}

}  // namespace

WorkerCalls::WorkerCalls(Context& context) : context_(context), started_ms_(monotonic_ms()) {
  context_.remote.serve(hub::Method::Worker, [this](std::string_view) { return answer(); });
}

bool WorkerCalls::ask(OnRows done) {
  const auto on_answers = [this, done = std::move(done)](std::vector<hub::Answer>&& answers) {
    std::map<uint16_t, json::Value> by_slot;
    for (const hub::Answer& each : answers) {
      WorkerAnswer one;
      if (!each.answered || !ipc::decode(each.body, one) || one.slot >= context_.metrics_all.size()) continue;
      by_slot[one.slot] = row_of(each.worker, one, *context_.metrics_all[one.slot]);
    }
    json::Value rows = json::Value::array();
    for (auto& [slot, row] : by_slot) rows.push(std::move(row));
    done(std::move(rows));
  };
  return context_.remote.ask_all(hub::Method::Worker, {}, on_answers);
}

std::string WorkerCalls::answer() const {
  return ipc::encode(WorkerAnswer{.slot = context_.slot,
                                  .pid = static_cast<uint32_t>(getpid()),
                                  .generation = context_.generation,
                                  .uptime_s = static_cast<uint64_t>(monotonic_ms() - started_ms_) / 1'000});
}

}  // namespace beamgate::api
