#include "worker/proto/centrifuge/subscriptions.h"

#include <algorithm>

#include "common/base/clock.h"
#include "worker/net/connections.h"
#include "worker/proto/centrifuge/session.h"
#include "worker/proto/centrifuge/shapes.h"
#include "worker/record/uid.h"

namespace beamgate::proto::centrifuge {
namespace {

using record::Record;

constexpr uint64_t kFlagRejectUnrecovered = 2;  // Of a subscribe command's "flag".

ErrorCode error_of(const Error& error) {
  return error.code == Code::LimitReached ? ErrorCode::LimitExceeded : ErrorCode::BadRequest;
}

void append_ttl(std::string& out, int64_t expires_s) {
  if (expires_s == 0) return;
  const int64_t ttl_s = std::max<int64_t>(expires_s - wall_ms() / 1000, 1);
  out.append(out.back() == '{' ? "" : ",").append("\"expires\":true,");
  append_field(out, "ttl", static_cast<uint64_t>(ttl_s));
}

}  // namespace

std::shared_ptr<const config::Webhook> Subscriptions::subscribe(Record& record, const Command& command) {
  const std::string_view channel = command.channel();
  if (!hub::Hub::valid_channel(channel)) {
    access_.count_refused(channel, {}, ErrorCode::BadRequest);
    sender_.error(record, command.id, ErrorCode::BadRequest, "not a channel name");
    return nullptr;
  }
  if (context_.hub.is_subscribed(record, channel)) {
    sender_.error(record, command.id, ErrorCode::AlreadySubscribed);
    return nullptr;
  }
  const std::string_view token = command.params.get_string("token").value_or("");
  const Grant grant = access_.may_subscribe(record, channel, token);
  if (grant.refused) {
    access_.count_refused(channel, token, *grant.refused);
    sender_.error(record, command.id, *grant.refused);
    return nullptr;
  }
  const config::ChannelRules& rules = access_.rules(channel);
  if (rules.access == config::ChannelRules::Access::Webhook) return rules.webhook;
  begin(record, command, grant);
  return nullptr;
}

void Subscriptions::subscribe_allowed(Record& record, const Command& command) {
  if (!context_.hub.is_subscribed(record, command.channel())) return begin(record, command, {});
  sender_.error(record, command.id, ErrorCode::AlreadySubscribed);
}

void Subscriptions::begin(Record& record, const Command& command, const Grant& grant) {
  const json::Value& params = command.params;
  SubscriptionTag tag{.command = command.id, .expires_s = grant.expires_s};
  tag.recover = params.get_bool("recover").value_or(false);
  tag.offset = params.get_uint("offset").value_or(0);
  tag.epoch = params.get_string("epoch").value_or("");
  tag.strict = (params.get_uint("flag").value_or(0) & kFlagRejectUnrecovered) != 0;
  const auto joined = join(record, command.channel(), tag, grant.info);
  if (joined) return;
  access_.count_refused(command.channel(), {}, error_of(joined.error()));
  sender_.error(record, command.id, error_of(joined.error()), joined.error().text);
}

Result<void> Subscriptions::join(Record& record, std::string_view channel, const SubscriptionTag& tag,
                                 std::string_view chan_info) {
  const config::ChannelRules& rules = access_.rules(channel);
  const std::string text = tag.text();
  const Session session = load_session(context_.arena, record);
  std::string user(ops_.user_of(record));
  if (user.empty()) user = record::format_uid(record.uid);  // Each anonymous client is somebody of its own.

  hub::JoinOptions options{.tag = text};
  options.member = rules.presence;
  options.user = user;
  const std::string both = member_info(session.info, chan_info);
  options.info = both;
  if (rules.cache) {
    options.wants = ipc::kStateNewest;
    options.publications_max = 1;
  } else if (rules.history > 0 && tag.recover) {
    options.wants = ipc::kStateRecover;
    options.epoch = tag.epoch;
    options.after = tag.offset;
    options.publications_max = std::min(rules.history, kRecoveredMax);
  }
  context_.connections.touch(record);
  return context_.hub.join(record, channel, options);
}

Result<void> Subscriptions::join_by_server(Record& record, std::string_view channel, SubscriptionTag tag,
                                           const json::Value* position) {
  tag.by_server = true;
  if (position != nullptr) {
    tag.recover = position->get_bool("recover").value_or(false);
    tag.offset = position->get_uint("offset").value_or(0);
    tag.epoch = position->get_string("epoch").value_or("");
  }
  return join(record, channel, tag, {});
}

bool Subscriptions::leave(Record& record, std::string_view channel) {
  hub::Hub& hub = context_.hub;
  const uint64_t unanswered = hub.is_joining(record, channel) ? parse_tag(hub.tag_of(record, channel)).command : 0;
  context_.connections.touch(record);
  if (!hub.unsubscribe(record, channel)) return false;
  if (unanswered != 0) sender_.error(record, unanswered, ErrorCode::Internal, kUnsubscribedMeanwhile);
  return true;
}

bool Subscriptions::leave_by_server(Record& record, std::string_view channel, const Ending& why) {
  if (!leave(record, channel)) return false;
  sender_.send(record, make_unsubscribe(channel, why));
  return true;
}

void Subscriptions::unsubscribe(Record& record, const Command& command) {
  const std::string_view channel = command.channel();
  if (channel.starts_with(hub::kUserChannelPrefix)) {
    return sender_.error(record, command.id, ErrorCode::PermissionDenied);
  }
  leave(record, channel);
  sender_.reply(record, command.id, Method::Unsubscribe, "{}");
}

// --- What join() has begun is done.

// Of a channel that is a cache, the newest publication is everything.
bool Subscriptions::recovers(const SubscriptionTag& tag, const ipc::ChannelState& state) const {
  if (!tag.recover || context_.hub.is_pattern(state.channel)) return false;
  return access_.rules(state.channel).cache ? !state.publications.empty() : state.recovered;
}

std::string Subscriptions::result_of(const SubscriptionTag& tag, const ipc::ChannelState& state, bool recovered) const {
  const config::ChannelRules& rules = access_.rules(state.channel);
  std::string out = "{";
  if (access_.keeps_history(state.channel)) {
    out += "\"recoverable\":true,\"positioned\":true,";
    append_field(out, "epoch", state.epoch);
    // What was missed moves the client on from where it was.
    const bool from_its_own = recovered && !state.publications.empty() && !rules.cache;
    append_field(out += ',', "offset", from_its_own ? tag.offset : state.offset);
  }
  if (tag.recover) out.append(out.back() == '{' ? "" : ",").append("\"was_recovering\":true");
  if (recovered) out.append(out.back() == '{' ? "" : ",").append("\"recovered\":true");
  const bool has_it = rules.cache && tag.epoch == state.epoch && tag.offset == state.offset;
  if ((recovered || rules.cache) && !state.publications.empty() && !has_it) {
    out.append(out.back() == '{' ? "" : ",").append("\"publications\":");
    append_publications(out, state.publications);
  }
  append_ttl(out, tag.expires_s);
  return out += '}';
}

void Subscriptions::on_joined(Record& record, std::string_view text, const ipc::ChannelState& state) {
  const SubscriptionTag tag = parse_tag(text);
  if (!state.answered) {
    if (tag.command != 0) sender_.error(record, tag.command, ErrorCode::Internal);
    return;
  }
  const std::string channel(state.channel);
  bool recovered = recovers(tag, state);
  std::string result = result_of(tag, state, recovered);
  if (recovered && tag.command != 0 && result.size() + kReplyOverhead > context_.connections.outbound_room(record)) {
    recovered = false;
    result = result_of(tag, state, false);
  }
  if (tag.strict && tag.recover && !recovered) {
    context_.hub.unsubscribe(record, channel);
    return sender_.error(record, tag.command, ErrorCode::UnrecoverablePosition);
  }
  const SubscriptionTag rest{.by_server = tag.by_server, .expires_s = tag.expires_s};
  context_.hub.set_tag(record, channel, rest.text());
  if (tag.expires_s != 0) alarms_.set(context_.connections.id_of(record), tag.expires_s * 1000 + kExpiryGraceMs);
  if (tag.command != 0) {
    sender_.reply(record, tag.command, Method::Subscribe, result);
  } else if (tag.by_server && !tag.quiet) {
    sender_.send(record, make_push(channel, "subscribe", result));
  } else if (recovered) {
    // The connect reply has told where it is; this is what was published since.
    for (const ipc::Past& past : state.publications) {
      std::string object;
      append_publication(object, past.payload_kind, past.payload, past.origin, past.offset);
      sender_.send(record, make_push(channel, "pub", object));
    }
  } else if (tag.recover) {
    context_.hub.unsubscribe(record, channel);
    sender_.send(record, make_unsubscribe(channel, kUnsubscribedInsufficientState));
  }
}

// --- Tokens of subscriptions.

void Subscriptions::refresh(Record& record, const Command& command) {
  const std::string_view channel = command.channel();
  if (!context_.hub.is_subscribed(record, channel)) {
    return sender_.error(record, command.id, ErrorCode::PermissionDenied);
  }
  const Grant grant = access_.check_token(record, channel, command.params.get_string("token").value_or(""));
  if (grant.refused) return sender_.error(record, command.id, *grant.refused);
  SubscriptionTag tag = parse_tag(context_.hub.tag_of(record, channel));
  tag.expires_s = grant.expires_s;
  context_.connections.touch(record);
  if (!context_.hub.set_tag(record, channel, tag.text())) {
    return sender_.error(record, command.id, ErrorCode::Internal);
  }
  if (!grant.info.empty()) {
    const std::string conn_info = load_session(context_.arena, record).info;
    context_.hub.update_member(record, channel, member_info(conn_info, grant.info));
  }
  check_expiry(record);
  std::string result = "{";
  append_ttl(result, grant.expires_s);
  sender_.reply(record, command.id, Method::SubRefresh, result += '}');
}

void Subscriptions::check_expiry(Record& record) {
  const int64_t now_ms = wall_ms();
  std::vector<std::string> expired;
  int64_t next_ms = 0;
  for (const std::string_view channel : context_.hub.channels_of(record)) {
    const SubscriptionTag tag = parse_tag(context_.hub.tag_of(record, channel));
    if (tag.expires_s == 0) continue;
    const int64_t at_ms = tag.expires_s * 1000 + kExpiryGraceMs;
    if (at_ms <= now_ms) {
      expired.emplace_back(channel);
    } else {
      next_ms = next_ms == 0 ? at_ms : std::min(next_ms, at_ms);
    }
  }
  for (const std::string& channel : expired) leave_by_server(record, channel, kUnsubscribedExpired);
  if (next_ms != 0) alarms_.set(context_.connections.id_of(record), next_ms);
}

}  // namespace beamgate::proto::centrifuge
