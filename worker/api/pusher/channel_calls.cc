#include "worker/api/pusher/channel_calls.h"

#include <algorithm>
#include <memory>
#include <unordered_set>

#include "common/base/clock.h"
#include "common/config/app_channels.h"
#include "common/config/channel_rules.h"
#include "common/crypto/crypto.h"
#include "worker/hub/hub.h"
#include "worker/proto/pusher/channel_name.h"
#include "worker/settings.h"

namespace beamgate::api::pusher {
namespace {

using beamgate::pusher::ChannelKind;
using beamgate::pusher::kServerNameBytesMax;
using beamgate::pusher::parse_channel;

bool is_presence(std::string_view channel) {
  const auto name = parse_channel(channel, kServerNameBytesMax);
  return name && name->kind == ChannelKind::Presence;
}

// Users of the channels of a list, as they are told; shared by the answers that are still to come.
struct Counting {
  json::Value::Object channels;
  size_t missing = 0;
  Done done;
};

}  // namespace

Info parse_info(std::string_view list) {
  Info info;
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    const std::string_view word = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    if (word == "user_count") info.user_count = true;
    if (word == "subscription_count") info.subscription_count = true;
    if (word == "cache") info.cache = true;
  }
  return info;
}

void ChannelCalls::list(const config::App& app, std::string_view prefix, const Info& info, Done done) {
  if (info.user_count && !prefix.starts_with(config::kPresencePrefix)) {
    return done(Answer::failed(400, "user_count is for presence channels: filter_by_prefix has to begin with presence-."));
  }
  json::Value params;
  const std::string begins = app.channel_prefix;
  params.set("pattern", begins + std::string(prefix) + "*");
  nodes_.channels(params, [this, begins, info, done = std::move(done)](Reply&& reply) {
    if (reply.error == ErrorCode::LimitExceeded) return done(Answer::failed(400, "Too many channels: use filter_by_prefix."));
    const json::Value* all = reply.result.find("channels");
    if (!reply.ok() || all == nullptr) return done(Answer::busy());
    json::Value::Object channels;
    const config::Http& http = context_.settings.current().http;
    for (const auto& [on_node, about] : *all->as_object()) {
      if (config::app_prefix_of(http, on_node) != begins) continue;
      const std::string name = on_node.substr(begins.size());
      const auto parsed = parse_channel(name, kServerNameBytesMax);
      const uint64_t subscribers = about.get_uint("num_clients").value_or(0);
      if (subscribers == 0 || !parsed || parsed->kind == ChannelKind::User) continue;
      json::Value attributes = json::Value::object();
      if (info.subscription_count) attributes.set("subscription_count", subscribers);
      channels.emplace_back(name, std::move(attributes));
    }
    if (info.user_count && !channels.empty()) return count_users(begins, std::move(channels), done);
    done(Answer::of(json::Value().set("channels", json::Value(std::move(channels)))));
  });
}

void ChannelCalls::count_users(const std::string& prefix, json::Value::Object&& channels, Done done) {
  if (channels.size() > kCountedMax) {
    return done(Answer::failed(400, "Too many channels to count their users: use a narrower filter_by_prefix."));
  }
  auto counting = std::make_shared<Counting>(Counting{std::move(channels), 0, std::move(done)});
  counting->missing = counting->channels.size();
  for (size_t i = 0; i < counting->channels.size(); ++i) {
    const std::string on_node = prefix + counting->channels[i].first;
    ipc::Ask ask;
    ask.channel = on_node;
    context_.hub.ask(ask, [counting, i](const ipc::ChannelState& state) {
      counting->channels[i].second.set("user_count", state.users);
      if (--counting->missing > 0) return;
      counting->done(Answer::of(json::Value().set("channels", json::Value(std::move(counting->channels)))));
    });
  }
}

void ChannelCalls::look(const config::App& app, std::string_view channel, const Info& info, Done done) {
  const auto name = parse_channel(channel, kServerNameBytesMax);
  if (!name || name->kind == ChannelKind::User) return done(Answer::failed(400, "This is no name of a channel."));
  if (info.user_count && name->kind != ChannelKind::Presence) {
    return done(Answer::failed(400, "user_count is for presence channels."));
  }
  attributes(config::channel_on_node(app, channel), info, true, [done = std::move(done)](json::Value&& attributes) {
    done(attributes.is_null() ? Answer::busy() : Answer::of(attributes));
  });
}

void ChannelCalls::attributes(const std::string& channel, const Info& info, bool occupied, OnAttributes done) {
  nodes_.subscribers(channel, [this, channel, info, occupied, done = std::move(done)](Reply&& reply) {
    if (!reply.ok()) return done({});
    const uint64_t subscribers = reply.result.get_uint("num_clients").value_or(0);
    json::Value out = json::Value::object();
    if (occupied) out.set("occupied", subscribers > 0);
    if (info.subscription_count) out.set("subscription_count", subscribers);
    const bool users = info.user_count && is_presence(config::name_in_app(context_.settings.current().http, channel));
    if (!users && !info.cache) return done(std::move(out));
    ipc::Ask ask;
    ask.channel = channel;
    ask.wants = ipc::kStateNewest;
    ask.publications_max = 1;
    context_.hub.ask(ask, [this, users, info, done, out](const ipc::ChannelState& state) {
      json::Value complete = out;
      if (users) complete.set("user_count", state.users);
      if (info.cache) complete.set("cache", cached(state));
      done(std::move(complete));
    });
  });
}

json::Value ChannelCalls::cached(const ipc::ChannelState& state) const {
  if (state.publications.empty()) return {};
  const ipc::Past& newest = state.publications.front();
  const config::ChannelRules& rules = config::rules_of(context_.settings.current().http, state.channel);
  const int64_t ttl_ms = rules.history > 0 ? rules.history_ttl_ms : config::kCacheChannelTtlMs;
  const bool binary = newest.payload_kind == ipc::PayloadKind::Binary;
  json::Value out;
  out.set("data", binary ? json::Value(crypto::base64_encode(newest.payload)) : json::Value(newest.payload));
  out.set("ttl", std::max<int64_t>((newest.time_ms + ttl_ms - wall_ms()) / 1000, 0));
  return out;
}

void ChannelCalls::users(const config::App& app, std::string_view channel, Done done) {
  if (!is_presence(channel)) return done(Answer::failed(400, "Users are known of presence channels."));
  const std::string on_node = config::channel_on_node(app, channel);
  ipc::Ask ask;
  ask.channel = on_node;
  ask.wants = ipc::kStateMembers;
  ask.members_max = kUsersMax;
  context_.hub.ask(ask, [done = std::move(done)](const ipc::ChannelState& state) {
    if (!state.answered) return done(Answer::busy());
    if (!state.listed && state.users > 0) return done(Answer::failed(400, "This channel has too many users to list."));
    json::Value::Array users;
    std::unordered_set<std::string_view> seen;
    for (const ipc::Member& member : state.members) {
      if (seen.insert(member.user).second) users.push_back(json::Value().set("id", member.user));
    }
    done(Answer::of(json::Value().set("users", json::Value(std::move(users)))));
  });
}

}  // namespace beamgate::api::pusher
