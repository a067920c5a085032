#include "worker/proto/pusher/watchlist.h"

#include <memory>

#include "common/config/channel_rules.h"
#include "worker/hub/hub.h"
#include "worker/net/connections.h"
#include "worker/proto/pusher/frames.h"

namespace beamgate::pusher {
namespace {

using config::kWatchPrefix;

// Nothing for what is no list of users, or a list that is too long.
std::optional<std::vector<std::string>> read_list(std::string_view prefix, const json::Value& list) {
  std::vector<std::string> users;
  if (list.as_array() == nullptr || list.as_array()->size() > Watchlist::kUsersMax) return std::nullopt;
  for (const json::Value& each : *list.as_array()) {
    const auto user = each.as_string();
    if (!user || user->empty() || !hub::Hub::valid_channel(watch_channel(std::string(prefix).append(*user)))) {
      return std::nullopt;
    }
    users.emplace_back(*user);
  }
  return users;
}

}  // namespace

std::string watch_channel(std::string_view user) { return hub::user_channel(std::string(kWatchPrefix).append(user)); }

std::string_view watched_user(std::string_view channel) {
  if (!channel.starts_with(hub::kUserChannelPrefix)) return {};
  channel.remove_prefix(hub::kUserChannelPrefix.size());
  return channel.starts_with(kWatchPrefix) ? channel.substr(kWatchPrefix.size()) : std::string_view();
}

std::string watchlist_frame(std::string_view event, const std::vector<std::string>& users) {
  json::Value ids = json::Value::array();
  for (const std::string& user : users) ids.push(user);
  json::Value events = json::Value::array();
  events.push(json::Value().set("name", event).set("user_ids", std::move(ids)));
  return event_frame("pusher_internal:watchlist_events", {}, json::Value().set("events", std::move(events)).dump());
}

void Watchlist::watch(record::Record& record, std::string_view prefix, const json::Value* list) {
  hub::Hub& hub = clients_.context().hub;
  std::optional<std::vector<std::string>> users = std::vector<std::string>();
  if (list != nullptr && !list->is_null()) users = read_list(prefix, *list);
  if (!users) return clients_.error(record, kErrorWatchlist, "A watchlist has up to 100 users.");
  clients_.context().connections.touch(record);
  std::vector<std::string> before;
  for (const std::string_view channel : hub.channels_of(record)) {
    if (!watched_user(channel).empty()) before.emplace_back(channel);
  }
  for (const std::string& channel : before) hub.unsubscribe(record, channel);
  for (const std::string& user : *users) {
    if (hub.subscribe(record, watch_channel(std::string(prefix).append(user))).ok()) continue;
    return clients_.error(record, kErrorWatchlist, "No more users can be watched by this connection.");
  }
  if (users->empty()) return;
  clients_.ops().when_confirmed(record, [this, prefix = std::string(prefix), users = *users](record::Record* open) mutable {
    if (open != nullptr) tell_online(*open, prefix, std::move(users));
  });
}

// Users who are looked for; shared by the answers that are still to come.
struct Watchlist::Look {
  record::ConnId id;
  std::vector<std::string> online;
  size_t missing = 0;
};

void Watchlist::tell_online(record::Record& record, std::string_view prefix, std::vector<std::string>&& users) {
  Context& context = clients_.context();
  auto look = std::make_shared<Look>(Look{context.connections.id_of(record), {}, users.size()});
  for (const std::string& user : users) {
    const std::string channel = hub::user_channel(std::string(prefix).append(user));
    ipc::Ask ask;
    ask.channel = channel;
    context.hub.ask(ask, [this, look, user](const ipc::ChannelState& state) {
      if (state.users > 0) look->online.push_back(user);
      if (--look->missing > 0 || look->online.empty()) return;
      record::Record* open = clients_.ops().find_open(look->id);
      if (open != nullptr) clients_.send(*open, watchlist_frame("online", look->online));
    });
  }
}

// Where the bus is full it is not told: who watches has what it was told before.
void Watchlist::on_user_change(const ipc::UserChange& change) {
  if (change.channel != hub::user_channel(change.user)) return;
  hub::PublishOptions options;
  options.flags = ipc::kPublishNoHistory;
  const std::string channel = watch_channel(change.user);
  if (!hub::Hub::valid_channel(channel)) return;  // Too long a name to be watched.
  static_cast<void>(clients_.context().hub.publish(channel, change.joined ? "online" : "offline", options));
}

}  // namespace beamgate::pusher
