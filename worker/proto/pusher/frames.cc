#include "worker/proto/pusher/frames.h"

#include <unordered_set>

#include "common/config/channel_rules.h"
#include "common/crypto/crypto.h"

namespace beamgate::pusher {
namespace {

constexpr json::Limits kFrameLimits{.bytes = size_t{16} << 20, .depth = 64, .values = 200'000};

// `info` is JSON, or empty.
void append_info(std::string& out, std::string_view info) { out += info.empty() ? std::string_view("null") : info; }

}  // namespace

std::optional<ClientFrame> parse_frame(std::string_view text) {
  auto parsed = json::parse(text, kFrameLimits);
  if (!parsed || !parsed.value().is_object()) return std::nullopt;
  const auto event = parsed.value().get_string("event");
  if (!event || event->empty()) return std::nullopt;
  ClientFrame frame;
  frame.event = *event;
  frame.channel = parsed.value().get_string("channel").value_or("");
  if (const json::Value* data = parsed.value().find("data")) frame.data = *data;
  if (!frame.event.starts_with("pusher:") || !frame.data.is_string()) return frame;
  auto inner = json::parse(*frame.data.as_string(), kFrameLimits);
  if (inner) frame.data = std::move(inner).value();
  return frame;
}

std::string event_frame(std::string_view event, std::string_view channel, std::optional<std::string_view> data,
                        std::string_view user_id) {
  std::string out;
  out.reserve(64 + event.size() + channel.size() + (data ? data->size() + data->size() / 8 : 0));
  out += "{\"event\":";
  json::append_string(out, event);
  if (!channel.empty()) {
    out += ",\"channel\":";
    json::append_string(out, channel);
  }
  if (data) {
    out += ",\"data\":";
    json::append_string(out, *data);
  }
  if (!user_id.empty()) {
    out += ",\"user_id\":";
    json::append_string(out, user_id);
  }
  return out += '}';
}

std::string error_frame(uint16_t code, std::string_view message) {
  json::Value data;
  data.set("message", message).set("code", unsigned{code});
  json::Value frame;
  return frame.set("event", "pusher:error").set("data", std::move(data)).dump();
}

std::string established_frame(std::string_view socket_id, int64_t activity_timeout_s) {
  json::Value data;
  data.set("socket_id", socket_id).set("activity_timeout", activity_timeout_s);
  return event_frame("pusher:connection_established", {}, data.dump());
}

std::string subscription_error_frame(std::string_view channel, std::string_view type, std::string_view error,
                                     uint16_t status) {
  json::Value data;
  data.set("type", type).set("error", error).set("status", unsigned{status});
  json::Value frame;
  frame.set("event", "pusher:subscription_error").set("channel", channel).set("data", std::move(data));
  return frame.dump();
}

std::string user_text(const json::Value& id) {
  if (const auto text = id.as_string()) return std::string(*text);
  return id.as_double() ? id.dump() : std::string();
}

bool is_reserved_event(std::string_view event) {
  return event.starts_with("pusher:") || event.starts_with("pusher_internal:");
}

std::string publication_frame(std::string_view channel, ipc::PayloadKind kind, std::string_view payload,
                              const ipc::Origin& origin) {
  if (is_reserved_event(origin.event)) return {};
  const std::string_view event = origin.event.empty() ? std::string_view("message") : origin.event;
  const bool by_member = event.starts_with("client-") && channel.starts_with(config::kPresencePrefix);
  const std::string_view user = by_member ? origin.user : std::string_view();
  if (kind == ipc::PayloadKind::Binary) return event_frame(event, channel, crypto::base64_encode(payload), user);
  return event_frame(event, channel, payload, user);
}

std::string presence_data(uint32_t users, bool listed, std::span<const ipc::Member> members) {
  std::string ids;
  std::string hash;
  uint32_t count = 0;
  std::unordered_set<std::string_view> seen;
  for (const ipc::Member& member : members) {
    if (!listed || !seen.insert(member.user).second) continue;
    if (count++ > 0) ids += ',', hash += ',';
    json::append_string(ids, member.user);
    json::append_string(hash, member.user);
    hash += ':';
    append_info(hash, member.info);
  }
  if (!listed) count = users;
  return "{\"presence\":{\"count\":" + std::to_string(count) + ",\"ids\":[" + ids + "],\"hash\":{" + hash + "}}}";
}

std::string member_added_data(std::string_view user, std::string_view info) {
  std::string out = "{\"user_id\":";
  json::append_string(out, user);
  out += ",\"user_info\":";
  append_info(out, info);
  return out += '}';
}

std::string counted_data(uint32_t users, uint32_t connections) {
  json::Value data;
  return data.set("subscription_count", connections).set("user_count", users).dump();
}

std::string member_removed_data(std::string_view user) {
  std::string out = "{\"user_id\":";
  json::append_string(out, user);
  return out += '}';
}

}  // namespace beamgate::pusher
