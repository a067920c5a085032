#include "worker/hook/grip_session.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/crypto/crypto.h"
#include "common/json/value.h"
#include "worker/hook/grip_events.h"
#include "worker/record/uid.h"

namespace beamgate::hook {
namespace {

constexpr std::string_view kMetaField = "set-meta-";
constexpr std::string_view kControl = "c:";
constexpr std::string_view kMessagePrefix = "message-prefix=";
constexpr size_t kMetaMax = 32;
constexpr uint64_t kKeepaliveMaxS = 86'400;
constexpr uint16_t kCloseNormal = 1000;
constexpr uint16_t kCloseInternalError = 1011;

constexpr Error kNoOpen{Code::Invalid, 0, "the answer to OPEN doesn't begin with OPEN"};
constexpr Error kNoEvents{Code::Invalid, 0, "no application/websocket-events"};
constexpr Error kNoText{Code::Invalid, 0, "the text of an event is not UTF-8"};

void set_meta(GripState& state, std::string_view name, std::string_view value) {
  std::string key = to_lower(name);
  std::erase_if(state.meta, [&](const auto& entry) { return entry.first == key; });
  if (!value.empty() && state.meta.size() < kMetaMax) state.meta.emplace_back(std::move(key), value);
}

// Those of Pushpin that drop a message or leave it as it is.
bool is_filter(std::string_view name) { return name == "skip-self" || name == "skip-users" || name == "require-sub"; }

// Of a channel that it subscribes, or unsubscribes: then there are none.
void set_filters(GripState& state, std::string_view channel, const json::Value::Array* filters) {
  std::erase_if(state.filters, [&](const auto& entry) { return entry.first == channel; });
  std::string names;
  for (size_t i = 0; filters != nullptr && i < filters->size(); ++i) {
    const std::string_view name = (*filters)[i].as_string().value_or("");
    if (is_filter(name)) names.append(names.empty() ? "" : ",").append(name);
  }
  if (!names.empty()) state.filters.emplace_back(channel, std::move(names));
}

// Whether `name` is in "a, b,c".
bool lists(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    if (trim(list.substr(0, end)) == name) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

// "grip; message-prefix=\"\"": control messages, and what marks the others.
void read_extension(std::string_view value, GripState& state) {
  value = trim(value);
  if (value != "grip" && !value.starts_with("grip;")) return;
  state.control = true;
  const size_t at = value.find(kMessagePrefix);
  if (at == value.npos) return;
  std::string_view prefix = value.substr(at + kMessagePrefix.size());
  prefix = trim(prefix.substr(0, prefix.find_first_of(";,")));
  if (prefix.size() >= 2 && prefix.front() == '"' && prefix.back() == '"') prefix = prefix.substr(1, prefix.size() - 2);
  state.prefix = prefix;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

json::Value value_of(const Pairs& pairs) {
  json::Value list = json::Value::array();
  for (const auto& [name, value] : pairs) {
    json::Value pair = json::Value::array();
    pair.push(name).push(value);
    list.push(std::move(pair));
  }
  return list;
}

Pairs pairs_of(const json::Value::Array* list) {
  Pairs pairs;
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const json::Value::Array* pair = (*list)[i].as_array();
    if (pair == nullptr || pair->size() != 2) continue;
    pairs.emplace_back((*pair)[0].as_string().value_or(""), (*pair)[1].as_string().value_or(""));
  }
  return pairs;
}

GripTimed parse_timed(const json::Value* value) {
  GripTimed timed;
  if (value == nullptr) return timed;
  timed.every_s = static_cast<uint32_t>(std::min(value->get_uint("every").value_or(0), kKeepaliveMaxS));
  timed.at_ms = static_cast<int64_t>(std::min<uint64_t>(value->get_uint("at").value_or(0), INT64_MAX));
  timed.message.binary = value->get_bool("binary").value_or(false);
  const std::string_view content = value->get_string("content").value_or("");
  timed.message.bytes = timed.message.binary ? crypto::base64_decode(content).value_or("") : std::string(content);
  return timed;
}

json::Value value_of(const GripTimed& timed) {
  const Message& message = timed.message;
  json::Value value = json::Value::object();
  value.set("every", uint64_t{timed.every_s}).set("at", static_cast<uint64_t>(timed.at_ms)).set("binary", message.binary);
  value.set("content", message.binary ? crypto::base64_encode(message.bytes) : message.bytes);
  return value;
}

// Nothing where there is no content, or more than the state has room for.
std::optional<Message> read_content(const json::Value& control) {
  Message message;
  const std::string_view type = control.get_string("message-type").value_or("text");
  if (type != "text" && type != "binary") return std::nullopt;
  message.binary = type == "binary";
  if (const auto encoded = control.get_string("content-bin")) {
    const auto bytes = crypto::base64_decode(*encoded);
    if (!bytes) return std::nullopt;
    message.bytes = *bytes;
  } else if (const auto content = control.get_string("content")) {
    message.bytes = *content;
  } else {
    return std::nullopt;
  }
  if (!message.binary && !valid_utf8(message.bytes)) return std::nullopt;
  return message.bytes.size() > kTimedBytesMax ? std::nullopt : std::optional(std::move(message));
}

GripTimed read_timed(const json::Value& control, bool again) {
  GripTimed timed;
  auto message = read_content(control);
  const uint64_t timeout_s = std::min(control.get_uint("timeout").value_or(0), kKeepaliveMaxS);
  if (!message || timeout_s == 0) return timed;
  if (again) timed.every_s = static_cast<uint32_t>(timeout_s);
  timed.at_ms = wall_ms() + static_cast<int64_t>(timeout_s) * 1'000;
  timed.message = std::move(*message);
  return timed;
}

void obey(const json::Value& message, GripState& state, Actions& actions) {
  const std::string_view type = message.get_string("type").value_or("");
  const std::string_view channel = message.get_string("channel").value_or("");
  if (type == "subscribe" && !channel.empty()) {
    actions.subscribe.emplace_back(channel);
    set_filters(state, channel, message.get_array("filters"));
  }
  if (type == "unsubscribe" && !channel.empty()) {
    actions.unsubscribe.emplace_back(channel);
    set_filters(state, channel, nullptr);
  }
  if (type == "detach") state.detached = true;
  if (type == "keep-alive") state.beat = read_timed(message, true);
  if (type == "send-delayed") state.delayed = read_timed(message, false);
  if (type == "flush-delayed" && state.delayed.at_ms != 0) {
    actions.send.push_back(std::exchange(state.delayed, {}).message);
  }
  if (type == "set-meta") {
    set_meta(state, message.get_string("name").value_or(""), message.get_string("value").value_or(""));
  }
}

void take_data(const GripEvent& event, GripState& state, Actions& actions) {
  std::string_view content = event.content;
  const bool binary = event.kind == GripEvent::Kind::Binary;
  if (state.control && !binary && content.starts_with(kControl)) {
    const auto message = json::parse(content.substr(kControl.size()));
    if (message.ok()) obey(message.value(), state, actions);
    return;
  }
  if (state.control && !content.starts_with(state.prefix)) return;
  if (state.control) content.remove_prefix(state.prefix.size());
  actions.send.push_back({binary, std::string(content)});
}

Close read_close(std::string_view content) {
  if (content.size() < 2) return {kCloseNormal, {}};
  const auto code = load_be<uint16_t>(content.data());
  const bool ours = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
  if (!ours && (code < 3000 || code > 4999)) return {kCloseNormal, {}};
  return {code, std::string(content.substr(2))};
}

}  // namespace

GripState GripState::parse(std::string_view text) {
  GripState state;
  const auto document = json::parse(text);
  if (!document.ok() || !document.value().is_object()) return state;
  const json::Value& value = document.value();
  state.control = value.get_bool("control").value_or(false);
  state.detached = value.get_bool("detached").value_or(false);
  state.prefix = value.get_string("prefix").value_or(state.prefix);
  state.keepalive_s = static_cast<uint32_t>(std::min(value.get_uint("keepalive").value_or(0), kKeepaliveMaxS));
  state.beat = parse_timed(value.find("beat"));
  state.delayed = parse_timed(value.find("delayed"));
  for (const auto& [name, said] : pairs_of(value.get_array("meta"))) set_meta(state, name, said);
  state.filters = pairs_of(value.get_array("filters"));
  return state;
}

std::string GripState::dump() const {
  json::Value document = json::Value::object();
  document.set("control", control).set("detached", detached).set("prefix", prefix).set("meta", value_of(meta));
  if (!filters.empty()) document.set("filters", value_of(filters));
  if (keepalive_s > 0) document.set("keepalive", uint64_t{keepalive_s});
  if (beat.at_ms != 0) document.set("beat", value_of(beat));
  if (delayed.at_ms != 0) document.set("delayed", value_of(delayed));
  return document.dump();
}

int64_t GripState::next_ms() const {
  if (beat.at_ms == 0 || delayed.at_ms == 0) return std::max(beat.at_ms, delayed.at_ms);
  return std::min(beat.at_ms, delayed.at_ms);
}

std::vector<Message> GripState::take_due(int64_t now_ms) {
  std::vector<Message> due;
  if (delayed.at_ms != 0 && delayed.at_ms <= now_ms) due.push_back(std::exchange(delayed, {}).message);
  if (beat.at_ms != 0 && beat.at_ms <= now_ms) {
    due.push_back(beat.message);
    beat.at_ms = now_ms + int64_t{beat.every_s} * 1'000;
  }
  return due;
}

// Its key is the only place where these bytes can stand: quotes inside of a text are escaped.
bool GripState::may_filter(std::string_view text) { return text.find("\"filters\":") != text.npos; }

GripMeta GripMeta::parse(std::string_view text) {
  GripMeta meta{.text = std::string(text), .sender = {}, .skip_users = {}, .require_sub = {}};
  const auto document = json::parse(text);
  if (!document.ok()) return meta;
  meta.sender = document.value().get_string("sender").value_or("");
  meta.skip_users = document.value().get_string("skip_users").value_or("");
  meta.require_sub = document.value().get_string("require_sub").value_or("");
  return meta;
}

bool grip_wants(const GripState& state, std::string_view channel, const GripMeta& meta,
                const std::function<bool(std::string_view)>& is_subscribed) {
  const auto entry = std::find_if(state.filters.begin(), state.filters.end(),
                                  [channel](const auto& each) { return each.first == channel; });
  if (entry == state.filters.end()) return true;
  const auto named = std::find_if(state.meta.begin(), state.meta.end(), [](const auto& each) { return each.first == "user"; });
  const std::string_view user = named == state.meta.end() ? std::string_view() : named->second;
  const std::string_view filters = entry->second;
  if (lists(filters, "require-sub") && !meta.require_sub.empty() && !is_subscribed(meta.require_sub)) return false;
  if (user.empty()) return true;
  if (lists(filters, "skip-self") && meta.sender == user) return false;
  return !lists(filters, "skip-users") || !lists(meta.skip_users, user);
}

RequestHead grip_head_of_call(const Call& call, int64_t now_ms) {
  RequestHead head;
  head.add("content-type", kGripEventsType);
  head.add("accept", kGripEventsType);
  head.suppress("expect");
  head.add("connection-id", record::format_uid(call.subject.uid));
  head.add("sec-websocket-extensions", "grip");
  const config::Webhook& endpoint = *call.endpoint;
  if (!endpoint.grip_key.empty()) {
    head.add("grip-sig", grip_signature(endpoint.grip_key, endpoint.grip_issuer, now_ms / 1000));
  }
  for (const auto& [name, value] : GripState::parse(call.subject.state).meta) head.add("meta-" + name, value);
  head.add_lines(call.subject.forward_fields);
  return head;
}

std::string_view grip_target_of_call(const Call& call) {
  constexpr std::string_view kField = "beamgate-uri: ";
  const std::string_view url = call.endpoint->url;
  if (url.find_first_of("/?#", url.find("://") + 3) != url.npos) return {};
  std::string_view lines = call.subject.forward_fields;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find("\r\n"));
    if (line.starts_with(kField)) return line.substr(kField.size());
    lines.remove_prefix(std::min(line.size() + 2, lines.size()));
  }
  return {};
}

std::string grip_body_of_call(const Call& call) {
  std::string body;
  if (call.type == kGripKeepalive) return body;
  if (call.type == "beamgate.connect") {
    write_grip_event(GripEvent::Kind::Open, {}, body);
  } else if (call.type == "beamgate.disconnected") {
    const auto kind = call.body.empty() ? GripEvent::Kind::Disconnect : GripEvent::Kind::Close;
    write_grip_event(kind, call.body, body);
  } else if (call.content_type == kGripEventsType) {
    body = call.body;
  } else {
    const bool binary = call.content_type == "application/octet-stream";
    write_grip_event(binary ? GripEvent::Kind::Binary : GripEvent::Kind::Text, call.body, body);
  }
  return body;
}

Result<Actions> grip_actions(const Fields& fields, std::string_view content_type, std::string_view body,
                             GripState state, bool opening) {
  if (media_type(content_type) != kGripEventsType) return kNoEvents;
  const auto events = parse_grip_events(body);
  if (!events.ok()) return events.error();
  const bool opens = !events.value().empty() && events.value().front().kind == GripEvent::Kind::Open;
  if (opening && !opens) return kNoOpen;
  state.keepalive_s = 0;
  for (const auto& [name, value] : fields) {
    uint64_t seconds = 0;
    if (name == "keep-alive-interval" && parse_decimal(value, seconds)) {
      state.keepalive_s = static_cast<uint32_t>(std::min(seconds, kKeepaliveMaxS));
    }
    if (name.starts_with(kMetaField)) set_meta(state, std::string_view(name).substr(kMetaField.size()), value);
    if (name == "sec-websocket-extensions") read_extension(value, state);
  }
  Actions actions;
  for (const auto& [name, value] : fields) {
    uint64_t bytes = 0;
    if (!opening && name == "content-bytes-accepted" && parse_decimal(value, bytes)) actions.taken = bytes;
  }
  for (const GripEvent& event : events.value()) {
    switch (event.kind) {
      case GripEvent::Kind::Text:
        if (!valid_utf8(event.content)) return kNoText;
        [[fallthrough]];
      case GripEvent::Kind::Binary:
        take_data(event, state, actions);
        break;
      case GripEvent::Kind::Close:
        actions.close = read_close(event.content);
        if (!valid_utf8(actions.close->reason)) return kNoText;
        break;
      case GripEvent::Kind::Disconnect:
        actions.close = Close{kCloseInternalError, {}};
        break;
      case GripEvent::Kind::Open:
      case GripEvent::Kind::Ping:
      case GripEvent::Kind::Pong:
        break;
    }
  }
  actions.state = state.dump();
  return actions;
}

}  // namespace beamgate::hook
