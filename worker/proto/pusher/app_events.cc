#include "worker/proto/pusher/app_events.h"

#include "common/base/clock.h"
#include "common/config/app_channels.h"
#include "worker/hook/webhooks.h"
#include "worker/proto/pusher/channel_name.h"
#include "worker/settings.h"

namespace beamgate::pusher {
namespace {

json::Value event_of(std::string_view name, std::string_view channel) {
  json::Value event;
  return event.set("name", name).set("channel", channel);
}

}  // namespace

void AppEvents::client_event(const config::App& app, std::string_view channel, std::string_view event,
                             std::string_view data, std::string_view socket_id, std::string_view user) {
  json::Value out = event_of("client_event", channel);
  out.set("event", event).set("data", data).set("socket_id", socket_id);
  if (!user.empty()) out.set("user_id", user);
  post(app, config::kAppClientEvent, out);
}

void AppEvents::cache_miss(const config::App& app, std::string_view channel) {
  const int64_t now_ms = monotonic_ms();
  if (missed_.size() >= kMissesMax) {
    std::erase_if(missed_, [now_ms](const auto& entry) { return now_ms - entry.second >= kCacheMissMs; });
  }
  const std::string on_node = config::channel_on_node(app, channel);
  if (const auto found = missed_.find(on_node); found != missed_.end()) {
    if (now_ms - found->second < kCacheMissMs) return;
    found->second = now_ms;
  } else if (missed_.size() < kMissesMax) {
    missed_.emplace(on_node, now_ms);
  }
  post(app, config::kAppCacheMiss, event_of("cache_miss", channel));
}

void AppEvents::subscription_count(std::string_view channel, uint64_t count) {
  const std::string_view prefix = config::app_prefix_of(context_.settings.current().http, channel);
  json::Value event = event_of("subscription_count", channel.substr(prefix.size()));
  post_to_all(prefix, config::kAppSubscriptionCount, event.set("subscription_count", count));
}

void AppEvents::on_channel_change(const ipc::ChannelChange& change) {
  const std::string_view prefix = config::app_prefix_of(context_.settings.current().http, change.channel);
  const std::string_view name = change.channel.substr(prefix.size());
  if (!parse_channel(name, kServerNameBytesMax)) return;  // No client of these apps can be in it.
  post_to_all(prefix, change.occupied ? config::kAppChannelOccupied : config::kAppChannelVacated,
              event_of(change.occupied ? "channel_occupied" : "channel_vacated", name));
}

void AppEvents::on_user_change(const ipc::UserChange& change) {
  const std::string_view prefix = config::app_prefix_of(context_.settings.current().http, change.channel);
  const std::string name = config::name_in_app(context_.settings.current().http, change.channel);
  const auto parsed = parse_channel(name, kServerNameBytesMax);
  if (!parsed || parsed->kind != ChannelKind::Presence) return;
  json::Value event = event_of(change.joined ? "member_added" : "member_removed", name);
  post_to_all(prefix, change.joined ? config::kAppMemberAdded : config::kAppMemberRemoved, event.set("user_id", change.user));
}

void AppEvents::post(const config::App& app, config::AppEvent kind, const json::Value& event) {
  if (app.webhook == nullptr || (app.webhook_events & kind) == 0) return;
  const std::string text = event.dump();
  hook::Event posted;
  posted.endpoint = app.webhook;
  posted.type = "pusher";
  posted.data = text;
  context_.webhooks.post(posted);
}

void AppEvents::post_to_all(std::string_view prefix, config::AppEvent kind, const json::Value& event) {
  for (const auto& [name, app] : context_.settings.current().http.apps) {
    if (app->channel_prefix == prefix) post(*app, kind, event);
  }
}

}  // namespace beamgate::pusher
