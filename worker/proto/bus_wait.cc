#include "worker/proto/bus_wait.h"

#include "worker/hub/hub.h"
#include "worker/net/connections.h"

namespace beamgate::proto {

BusWait::BusWait(Context& context) : context_(context) {
  context_.hub.add_on_room([this] { on_room(); });
}

void BusWait::wait(record::ConnId id, GoOn go_on) {
  record::Record* record = context_.connections.find(id);
  if (record != nullptr) context_.connections.pause(*record, record::kPauseBus);
  waiting_.push_back({id, std::move(go_on)});
}

void BusWait::on_room() {
  const std::vector<Waiting> waiting = std::move(waiting_);
  waiting_.clear();
  for (const Waiting& each : waiting) {
    record::Record* record = context_.connections.find(each.id);
    if (record != nullptr) context_.connections.resume(*record, record::kPauseBus);
    each.go_on();
  }
}

}  // namespace beamgate::proto
