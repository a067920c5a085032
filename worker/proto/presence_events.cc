#include "worker/proto/presence_events.h"

#include <algorithm>
#include <utility>

#include "common/base/clock.h"
#include "common/config/channel_rules.h"
#include "worker/hook/webhooks.h"
#include "worker/settings.h"

namespace beamgate::proto {

std::string cursor_of(uint64_t incarnation, uint64_t sequence) {
  return std::to_string(incarnation) + '-' + std::to_string(sequence);
}

std::string_view type_of(const ipc::UserChange& change) {
  if (change.channel.starts_with(hub::kUserChannelPrefix)) {
    return change.joined ? "beamgate.user.online" : "beamgate.user.offline";
  }
  return change.joined ? "beamgate.joined" : "beamgate.left";
}

json::Value describe(const ipc::UserChange& change) {
  json::Value data = json::Value::object();
  data.set("user", change.user);
  if (!change.channel.starts_with(hub::kUserChannelPrefix)) data.set("channel", change.channel);
  data.set("joined", format_rfc3339(change.joined_ms));
  if (!change.joined) {
    data.set("left", format_rfc3339(change.left_ms)).set("total_ms", std::max<int64_t>(change.left_ms - change.joined_ms, 0));
  }
  if (auto info = json::parse(change.info); !change.info.empty() && info.ok()) data.set("info", std::move(info).value());
  data.set("cursor", cursor_of(change.incarnation, change.sequence));
  return data;
}

void PresenceEvents::post(const ipc::UserChange& change) {
  const config::ChannelRules& rules = config::rules_of(context_.settings.current().http, change.channel);
  if (rules.presence_webhook == nullptr) return;
  const std::string data = describe(change).dump();
  hook::Event event;
  event.endpoint = rules.presence_webhook;
  event.type = type_of(change);
  event.subject.uid = change.incarnation;
  event.subject.listener = "presence";
  event.subject.user = change.user;
  event.sequence = static_cast<uint32_t>(change.sequence);
  event.data = data;
  if (!context_.webhooks.post(event)) context_.log.warn("presence_event_dropped", {{"user", change.user}});
}

}  // namespace beamgate::proto
