#include "worker/proto/pusher/subscribing.h"

#include "common/config/app_channels.h"
#include "worker/hub/hub.h"
#include "worker/net/connections.h"
#include "worker/proto/channel_token.h"
#include "worker/proto/pusher/frames.h"
#include "worker/proto/pusher/signature.h"
#include "worker/proto/pusher/socket_id.h"
#include "worker/settings.h"

namespace beamgate::pusher {

using record::Record;
using Verdict = proto::ChannelPolicy::Subscribing;

// Nothing: the client has been told what is wrong.
std::optional<Subscribing::Wanted> Subscribing::read(Record& record, const config::App& app, const json::Value& data) {
  const auto channel = data.get_string("channel");
  if (!channel) {
    clients_.error(record, kErrorClientEvent, "pusher:subscribe needs a channel");
    return std::nullopt;
  }
  const auto name = parse_channel(*channel);
  if (name) return Wanted{*channel, config::channel_on_node(app, *channel), *name};
  policy_.refused(Verdict::NoName);
  refuse(record, *channel, "InvalidChannel", "This is no name of a channel.", 400);
  return std::nullopt;
}

std::shared_ptr<const config::Webhook> Subscribing::subscribe(Record& record, const config::App& app,
                                                              const json::Value& data) {
  const auto wanted = read(record, app, data);
  if (!wanted || !admit(record, app, *wanted, data)) return nullptr;
  const config::ChannelRules& rules = policy_.rules_of(wanted->on_node);
  const bool asked = wanted->name.kind == ChannelKind::Public && rules.access == config::ChannelRules::Access::Webhook;
  if (asked && !clients_.context().hub.is_subscribed(record, wanted->on_node)) return rules.webhook;
  enter(record, app, *wanted, data);
  return nullptr;
}

void Subscribing::subscribe_allowed(Record& record, const config::App& app, const json::Value& data) {
  if (const auto wanted = read(record, app, data)) enter(record, app, *wanted, data);
}

void Subscribing::enter(Record& record, const config::App& app, const Wanted& wanted, const json::Value& data) {
  Member member;
  if (wanted.name.kind == ChannelKind::Presence) {
    auto found = member_of(record, app, data);
    if (!found) {
      policy_.refused(Verdict::Token);
      return refuse(record, wanted.channel, "AuthError", "channel_data names no user.", 400);
    }
    member = std::move(*found);
  }
  hub::Hub& hub = clients_.context().hub;
  if (!hub.is_subscribed(record, wanted.on_node)) return join(record, wanted, member);
  if (wanted.name.kind == ChannelKind::Presence && hub.tag_of(record, wanted.on_node) != member.user) {
    hub.unsubscribe(record, wanted.on_node);  // It is somebody else now, or no member yet.
    return join(record, wanted, member);
  }
  if (wanted.name.kind == ChannelKind::User || !hub.is_joining(record, wanted.on_node)) tell_again(record, wanted, member);
}

bool Subscribing::has_signature(const Record& record, const config::App& app, std::string_view channel,
                                const json::Value& data) const {
  return verify_channel(app, format_socket_id(record.uid), channel, data.get_string("channel_data").value_or(""),
                        data.get_string("auth").value_or(""));
}

bool Subscribing::shows_token(const Record& record, std::string_view on_node, const json::Value& data) const {
  const config::Location* location = clients_.context().settings.location(record.location_id);
  return proto::verify_channel_token(location == nullptr ? nullptr : &location->websocket,
                                     data.get_string("auth").value_or(""), on_node, clients_.ops().user_of(record))
      .valid();
}

bool Subscribing::admit(Record& record, const config::App& app, const Wanted& wanted, const json::Value& data) {
  if (wanted.name.kind == ChannelKind::User) {
    const std::string user = config::user_on_node(app, user_of_channel(wanted.channel));
    if (user == clients_.ops().user_of(record)) return true;
    policy_.refused(Verdict::Denied);
    refuse(record, wanted.channel, "AuthError", "This channel is for a user who has signed in.", 401);
    return false;
  }
  const Verdict verdict = policy_.may_subscribe(wanted.on_node);
  const bool wants_auth = wanted.name.wants_auth();
  if (wants_auth || verdict == Verdict::Token) {
    const bool good = has_signature(record, app, wanted.channel, data) ||
                      (!wants_auth && shows_token(record, wanted.on_node, data));
    if (!good) {
      policy_.refused(Verdict::Token);
      refuse(record, wanted.channel, "AuthError", "The connection is unauthorized.", 401);
      return false;
    }
  }
  if (verdict != Verdict::Full && (wants_auth || (verdict != Verdict::Denied && verdict != Verdict::NoName))) {
    return true;
  }
  policy_.refused(verdict);
  if (verdict == Verdict::Full) {
    refuse(record, wanted.channel, "LimitReached", "This channel is full.", 429);
    return false;
  }
  refuse(record, wanted.channel, "AuthError", "Clients are not let into this channel.", 403);
  return false;
}

std::optional<Subscribing::Member> Subscribing::member_of(const Record& record, const config::App& app,
                                                          const json::Value& data) const {
  Member out;
  const auto text = data.get_string("channel_data");
  if (!text) {
    const Session session = clients_.session_of(record);
    std::string_view known = clients_.ops().user_of(record);
    if (known.starts_with(app.channel_prefix)) known.remove_prefix(app.channel_prefix.size());
    if (known.empty() || known.size() > kUserBytesMax) return std::nullopt;
    return Member{std::string(known), session.user == known ? session.user_info : std::string()};
  }
  const auto parsed = json::parse(*text);
  if (!parsed) return std::nullopt;
  const json::Value* user = parsed.value().find("user_id");
  if (user == nullptr) return std::nullopt;
  out.user = user_text(*user);
  const json::Value* info = parsed.value().find("user_info");
  if (info != nullptr && !info->is_null()) out.info = info->dump();
  const bool fits = !out.user.empty() && out.user.size() <= kUserBytesMax && out.info.size() <= ipc::kMemberInfoBytesMax;
  return fits ? std::optional(std::move(out)) : std::nullopt;
}

void Subscribing::join(Record& record, const Wanted& wanted, const Member& member) {
  Context& context = clients_.context();
  hub::JoinOptions options;
  if (wanted.name.kind == ChannelKind::Presence) {
    options.tag = member.user;
    options.member = true;
    options.user = member.user;
    options.info = member.info;
  }
  if (wanted.name.cache) {
    options.wants |= ipc::kStateNewest;
    options.publications_max = 1;
  }
  std::string user;
  policy_.prepare(record, wanted.on_node, user, options);
  context.connections.touch(record);
  const auto joined = context.hub.join(record, wanted.on_node, options);
  if (joined.ok()) return;
  policy_.refused(Verdict::Full);
  refuse(record, wanted.channel, "LimitReached", joined.error().text, 429);
}

void Subscribing::tell_again(Record& record, const Wanted& wanted, const Member& member) {
  Context& context = clients_.context();
  if (wanted.name.kind == ChannelKind::User) {
    return clients_.ops().when_confirmed(record, [this, name = std::string(wanted.channel)](Record* open) {
      if (open != nullptr) succeed(*open, name, "{}");
    });
  }
  if (wanted.name.kind != ChannelKind::Presence) return succeed(record, wanted.channel, "{}");
  context.connections.touch(record);
  if (context.hub.member_info(record, wanted.on_node).value_or("") != member.info) {
    context.hub.update_member(record, wanted.on_node, member.info);
  }
  ipc::Ask ask;
  ask.channel = wanted.on_node;
  ask.wants = ipc::kStateMembers;
  ask.members_max = policy_.rules_of(wanted.on_node).presence_limit;
  context.hub.ask(ask, [this, id = context.connections.id_of(record)](const ipc::ChannelState& state) {
    Record* open = clients_.ops().find_open(id);
    if (open == nullptr || !state.answered || !clients_.context().hub.is_subscribed(*open, state.channel)) return;
    succeed(*open, clients_.name_of(state.channel), presence_data(state.users, state.listed, state.members));
  });
}

void Subscribing::joined(Record& record, const ipc::ChannelState& state) {
  const std::string channel = clients_.name_of(state.channel);
  const auto name = parse_channel(channel);
  if (!name) return;  // The application has subscribed it to a channel that its client can't know.
  if (!state.answered) return refuse(record, channel, "Overloaded", "Try again.", 503);
  const record::ConnId id = clients_.context().connections.id_of(record);
  const bool presence = name->kind == ChannelKind::Presence;
  succeed(record, channel, presence ? presence_data(state.users, state.listed, state.members) : "{}");
  for (const ipc::Past& past : state.publications) {
    Record* open = clients_.ops().find_open(id);
    if (open == nullptr) return;
    clients_.send(*open, clients_.publication_frame(channel, past.payload_kind, past.payload, past.origin));
  }
  if (Record* open = clients_.ops().find_open(id); open != nullptr && name->cache && state.publications.empty()) {
    clients_.send(*open, event_frame("pusher:cache_miss", channel, std::nullopt));
    if (const auto app = clients_.app_of(*open)) events_.cache_miss(*app, channel);
  }
  counts_.changed(state.channel);
}

void Subscribing::succeed(Record& record, std::string_view channel, std::string_view data) {
  clients_.send(record, event_frame("pusher_internal:subscription_succeeded", channel, data));
}

void Subscribing::refuse(Record& record, std::string_view channel, std::string_view type, std::string_view error,
                         uint16_t status) {
  clients_.send(record, subscription_error_frame(channel, type, error, status));
}

// The channel of a signed-in user is not left: it is how the node knows that the user is here.
void Subscribing::unsubscribe(Record& record, const config::App& app, const json::Value& data) {
  Context& context = clients_.context();
  const auto channel = data.get_string("channel");
  if (!channel || !user_of_channel(*channel).empty()) return;
  context.connections.touch(record);
  const std::string on_node = config::channel_on_node(app, *channel);
  if (context.hub.unsubscribe(record, on_node)) counts_.changed(on_node);
}

void Subscribing::leave_all(Record& record) {
  Context& context = clients_.context();
  std::vector<std::string> channels;
  for (const std::string_view channel : context.hub.channels_of(record)) channels.emplace_back(channel);
  context.hub.unsubscribe_all(record);
  for (const std::string& channel : channels) counts_.changed(channel);
}

}  // namespace beamgate::pusher
