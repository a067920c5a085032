#include "worker/hook/actions.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/base/utf8.h"
#include "common/crypto/crypto.h"
#include "common/ipc/messages.h"
#include "common/json/value.h"
#include "worker/hook/header_text.h"
#include "worker/record/uid.h"

namespace beamgate::hook {
namespace {

Error invalid(const char* text) { return Error{Code::Invalid, 0, text}; }

bool valid_close_code(uint64_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

// --- Header fields.

Result<void> append_names(std::string_view list, std::vector<std::string>& out) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view item = trim(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (item.empty()) continue;  // RFC 9110 section 5.6.1.2: empty elements are ignored.
    auto name = percent_decode(item);
    if (!name || !valid_utf8(*name)) return invalid("a channel name in a header field is badly encoded");
    out.push_back(std::move(*name));
  }
  return {};
}

Result<void> parse_close_field(std::string_view value, std::optional<Close>& out) {
  const size_t space = std::min(value.find(' '), value.size());
  uint64_t code = 0;
  if (!parse_decimal(value.substr(0, space), code) || !valid_close_code(code)) {
    return invalid("beamgate-close has no valid close code");
  }
  auto reason = percent_decode(trim(value.substr(space)));
  if (!reason || !valid_utf8(*reason)) return invalid("the reason in beamgate-close is badly encoded");
  out = Close{static_cast<uint16_t>(code), std::move(*reason)};
  return {};
}

Result<void> parse_text_field(std::string_view value, std::optional<std::string>& out, const char* error) {
  out = percent_decode(value);
  if (!out) return invalid(error);
  return {};
}

// As proto::ConnectionOps would take it.
Result<void> check_user(const Actions& actions) {
  if (!actions.user) return {};
  const std::string& user = *actions.user;
  const bool printable = std::none_of(user.begin(), user.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (user.size() > ipc::kUserBytesMax) return invalid("the user is longer than 200 bytes");
  if (!printable || !valid_utf8(user)) return invalid("the user is no plain UTF-8 text");
  return {};
}

Result<void> parse_field(std::string_view name, std::string_view value, Actions& actions) {
  if (name == "beamgate-user") return parse_text_field(value, actions.user, "beamgate-user is badly encoded");
  if (name == "beamgate-state") return parse_text_field(value, actions.state, "beamgate-state is badly encoded");
  if (name == "beamgate-subscribe") return append_names(value, actions.subscribe);
  if (name == "beamgate-unsubscribe") return append_names(value, actions.unsubscribe);
  if (name == "beamgate-close") return parse_close_field(value, actions.close);
  return {};
}

// --- The document.

bool only_members(const json::Value& object, std::initializer_list<std::string_view> known) {
  return std::all_of(object.as_object()->begin(), object.as_object()->end(), [&](const auto& member) {
    return std::find(known.begin(), known.end(), member.first) != known.end();
  });
}

Result<void> parse_text_member(const json::Value& value, bool integers, std::optional<std::string>& out,
                               const char* error) {
  if (value.is_null()) {
    out = "";
  } else if (const auto text = value.as_string()) {
    out = std::string(*text);
  } else if (integers && (value.as_int() || value.as_uint())) {
    out = value.dump();
  } else {
    return invalid(error);
  }
  return {};
}

Result<void> parse_names(const json::Value& value, std::vector<std::string>& out) {
  if (!value.is_array()) return invalid("\"subscribe\" and \"unsubscribe\" must be arrays of channel names");
  for (const json::Value& item : *value.as_array()) {
    const auto name = item.as_string();
    if (!name) return invalid("\"subscribe\" and \"unsubscribe\" must be arrays of channel names");
    out.emplace_back(*name);
  }
  return {};
}

Result<Message> parse_payload(const json::Value& object) {
  const json::Value* text = object.find("text");
  const json::Value* data = object.find("data");
  const json::Value* base64 = object.find("base64");
  if ((text != nullptr) + (data != nullptr) + (base64 != nullptr) != 1) {
    return invalid("a payload needs exactly one of \"text\", \"data\" and \"base64\"");
  }
  if (object.has("binary") && !object.get_bool("binary")) return invalid("\"binary\" must be true or false");
  Message message{.binary = object.get_bool("binary").value_or(base64 != nullptr), .bytes = {}};
  const json::Value& source = text != nullptr ? *text : data != nullptr ? *data : *base64;
  if (data != nullptr && !data->is_string()) {
    data->dump_to(message.bytes);
    return message;
  }
  const auto characters = source.as_string();
  if (!characters) return invalid("\"text\" and \"base64\" must be strings");
  if (base64 == nullptr) {
    message.bytes = *characters;
    return message;
  }
  auto bytes = crypto::base64_decode(*characters);
  if (!bytes) return invalid("\"base64\" is not base64");
  if (!message.binary && !valid_utf8(*bytes)) return invalid("a text message must be UTF-8");
  message.bytes = std::move(*bytes);
  return message;
}

Result<void> parse_sends(const json::Value& value, std::vector<Message>& out) {
  if (!value.is_array()) return invalid("\"send\" must be an array");
  for (const json::Value& item : *value.as_array()) {
    if (const auto text = item.as_string()) {
      out.push_back(Message{false, std::string(*text)});
      continue;
    }
    if (!item.is_object()) return invalid("\"send\" holds strings and objects only");
    if (!only_members(item, {"text", "data", "base64", "binary"})) return invalid("unknown member in \"send\"");
    auto message = parse_payload(item);
    if (!message) return message.error();
    out.push_back(std::move(message).value());
  }
  return {};
}

Result<void> parse_publishes(const json::Value& value, std::vector<Publish>& out) {
  if (!value.is_array()) return invalid("\"publish\" must be an array");
  for (const json::Value& item : *value.as_array()) {
    if (!item.is_object()) return invalid("\"publish\" holds objects only");
    if (!only_members(item, {"channel", "text", "data", "base64", "binary", "event", "except"})) {
      return invalid("unknown member in \"publish\"");
    }
    const auto channel = item.get_string("channel");
    if (!channel) return invalid("\"publish\" needs a \"channel\"");
    const auto event = item.has("event") ? item.get_string("event") : std::string_view();
    if (!event || event->size() > ipc::kEventBytesMax) return invalid("\"event\" must be a string of 255 bytes at most");
    const auto except = item.has("except") ? record::parse_uid(item.get_string("except").value_or("")) : uint64_t{0};
    if (!except) return invalid("\"except\" must be the id of a connection");
    auto message = parse_payload(item);
    if (!message) return message.error();
    out.push_back(Publish{std::string(*channel), std::move(message.value().bytes), message.value().binary,
                          std::string(*event), *except});
  }
  return {};
}

Result<void> parse_close_member(const json::Value& value, std::optional<Close>& out) {
  if (!value.is_object() || !only_members(value, {"code", "reason"})) {
    return invalid("\"close\" must be an object of \"code\" and \"reason\"");
  }
  const auto code = value.has("code") ? value.get_uint("code") : uint64_t{1000};
  if (!code || !valid_close_code(*code)) return invalid("\"close\" has no valid close code");
  const auto reason = value.has("reason") ? value.get_string("reason") : std::string_view();
  if (!reason) return invalid("the reason of \"close\" must be a string");
  out = Close{static_cast<uint16_t>(*code), std::string(*reason)};
  return {};
}

Result<void> parse_member(std::string_view name, const json::Value& value, Actions& actions) {
  if (name == "user") return parse_text_member(value, true, actions.user, "\"user\" must be a string or null");
  if (name == "state") return parse_text_member(value, false, actions.state, "\"state\" must be a string or null");
  if (name == "subscribe") return parse_names(value, actions.subscribe);
  if (name == "unsubscribe") return parse_names(value, actions.unsubscribe);
  if (name == "send") return parse_sends(value, actions.send);
  if (name == "publish") return parse_publishes(value, actions.publish);
  if (name == "close") return parse_close_member(value, actions.close);
  return invalid("unknown member in the actions document");
}

Result<void> parse_document(std::string_view body, Actions& actions) {
  const auto document = json::parse(body);
  if (!document) return document.error();
  const json::Value::Object* members = document.value().as_object();
  if (members == nullptr) return invalid("the actions document must be an object");
  for (const auto& [name, value] : *members) {
    if (auto parsed = parse_member(name, value, actions); !parsed) return parsed;
  }
  return {};
}

Result<void> parse_message(std::string_view type, std::string_view body, Actions& actions) {
  const bool utf8 = valid_utf8(body);
  const bool text = type.empty() ? utf8 : is_text_type(type);
  if (text && !utf8) return invalid("a reply of a text type must be UTF-8");
  actions.send.push_back(Message{!text, std::string(body)});
  return {};
}

}  // namespace

std::string media_type(std::string_view content_type) {
  return to_lower(trim(content_type.substr(0, content_type.find(';'))));
}

bool is_text_type(std::string_view type) {
  return type.starts_with("text/") || type.ends_with("+json") || type.ends_with("+xml") ||
         type == "application/json" || type == "application/xml" || type == "application/javascript" ||
         type == "application/x-www-form-urlencoded";
}

Result<Actions> parse_actions(const Fields& fields, std::string_view content_type, std::string_view body) {
  Actions actions;
  for (const auto& [name, value] : fields) {
    if (auto parsed = parse_field(name, value, actions); !parsed) return parsed.error();
  }
  const std::string type = media_type(content_type);
  Result<void> parsed;
  if (type == kActionsType) {
    parsed = parse_document(body, actions);
  } else if (!body.empty()) {
    parsed = parse_message(type, body, actions);
  }
  if (parsed.ok()) parsed = check_user(actions);
  if (!parsed) return parsed.error();
  return actions;
}

}  // namespace beamgate::hook
