#include "worker/proto/centrifuge/session.h"

#include "common/json/value.h"
#include "worker/proto/handshake_text.h"

namespace beamgate::proto::centrifuge {

Session load_session(const record::Arena& arena, const record::Record& record) {
  Session session;
  const std::string_view text = session_of(arena, record);
  const auto parsed = text.empty() ? Result<json::Value>(json::Value()) : json::parse(text);
  if (!parsed || !parsed.value().is_object()) return session;
  const json::Value& value = parsed.value();
  const uint64_t state = value.get_uint("state").value_or(0);
  if (state <= static_cast<uint64_t>(Session::State::Connected)) session.state = static_cast<Session::State>(state);
  session.expires_s = value.get_int("expires").value_or(0);
  if (const json::Value* info = value.find("info")) session.info = info->dump();
  if (const json::Value::Array* channels = value.get_array("channels")) {
    for (const json::Value& channel : *channels) session.channels.emplace_back(channel.as_string().value_or(""));
  }
  return session;
}

bool save_session(record::Arena& arena, record::Record& record, const Session& session) {
  if (session.state == Session::State::Fresh && session.channels.empty()) return set_session(arena, record, {});
  json::Value value = json::Value::object();
  value.set("state", static_cast<unsigned>(session.state));
  if (session.expires_s != 0) value.set("expires", session.expires_s);
  if (!session.channels.empty()) {
    json::Value channels = json::Value::array();
    for (const std::string& channel : session.channels) channels.push(channel);
    value.set("channels", std::move(channels));
  }
  if (!session.info.empty()) {
    auto info = json::parse(session.info);
    if (info) value.set("info", std::move(info).value());
  }
  return set_session(arena, record, value.dump());
}

}  // namespace beamgate::proto::centrifuge
