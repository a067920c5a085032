// The bus and who tells applications that channels have become occupied or vacant.
#include <algorithm>

#include "common/base/clock.h"
#include "common/config/channel_rules.h"
#include "master/bus/bus.h"

namespace beamgate::master {

// What applications are told beside the presence_webhook of a channel's rules: the apps of the Pusher protocol.
bool Bus::apps_want(uint32_t events) const {
  if (config_ == nullptr) return false;
  const auto& apps = config_->http.apps;
  return std::any_of(apps.begin(), apps.end(), [events](const auto& entry) {
    return entry.second->webhook != nullptr && (entry.second->webhook_events & events) != 0;
  });
}

void Bus::on_occupancy(std::string_view channel, bool occupied) {
  if (channel.starts_with(config::kUserChannelPrefix)) return;
  if (!apps_want(config::kAppChannelOccupied | config::kAppChannelVacated)) return;
  if (occupied) return occupancy_.occupied(channel);
  occupancy_.vacated(channel, monotonic_ms());
  if (!occupancy_timer_) expire_occupancy();
}

void Bus::expire_occupancy() {
  const int64_t now_ms = monotonic_ms();
  const int64_t next_ms = occupancy_.expire(now_ms);
  if (occupancy_timer_) loop_.cancel(*occupancy_timer_);
  occupancy_timer_.reset();
  if (next_ms != 0) {
    occupancy_timer_ = loop_.after(std::max<int64_t>(next_ms - now_ms, 1), [this] { expire_occupancy(); });
  }
}

// One worker for all of them, so that an application sees them in their order; without any they wait.
void Bus::tell_occupancy() {
  if (!occupancy_.has_changes()) return;
  const std::vector<Port*> ports = tellers();
  if (ports.empty()) return;
  for (const Occupancy::Change& change : occupancy_.take_changes()) {
    ports.front()->send(ipc::ChannelChange{change.occupied, change.channel});
  }
  mark(*ports.front());
}

}  // namespace beamgate::master
