#include "worker/proto/centrifuge/commands.h"

#include <algorithm>

namespace beamgate::proto::centrifuge {
namespace {

struct Name {
  std::string_view text;
  Method method;
};

constexpr Name kNames[] = {
    {"connect", Method::Connect},         {"subscribe", Method::Subscribe},
    {"unsubscribe", Method::Unsubscribe}, {"publish", Method::Publish},
    {"presence", Method::Presence},       {"presence_stats", Method::PresenceStats},
    {"history", Method::History},         {"rpc", Method::Rpc},
    {"send", Method::Send},               {"refresh", Method::Refresh},
    {"sub_refresh", Method::SubRefresh},
};

Method method_of(std::string_view name) {
  for (const Name& known : kNames) {
    if (known.text == name) return known.method;
  }
  return Method::Unknown;
}

// False: malformed.
bool read(std::string_view line, Command& command) {
  auto parsed = json::parse(line);
  if (!parsed || !parsed.value().is_object()) return false;
  command = Command{.text = line};
  const json::Value::Object& members = *parsed.value().as_object();
  if (members.empty()) {
    command.method = Method::Pong;
    return true;
  }
  if (parsed.value().has("id")) {
    const auto id = parsed.value().get_uint("id");
    if (!id || *id > UINT32_MAX) return false;
    command.id = *id;
  }
  for (const auto& [name, value] : members) {
    const Method method = method_of(name);
    if (method == Method::Unknown || value.is_null()) continue;
    if (!value.is_object()) return false;
    command.method = method;
    command.params = value;
    break;
  }
  return command.id > 0 || command.method == Method::Send;
}

}  // namespace

std::string_view name_of(Method method) {
  for (const Name& known : kNames) {
    if (known.method == method) return known.text;
  }
  return {};
}

CommandReader::Outcome CommandReader::next(Command& command) {
  while (!rest_.empty()) {
    const size_t end = std::min(rest_.find('\n'), rest_.size());
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    return read(line, command) ? Outcome::Command : Outcome::Malformed;
  }
  return Outcome::End;
}

}  // namespace beamgate::proto::centrifuge
