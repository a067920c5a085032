#include "worker/proto/centrifuge/replies.h"

#include "common/json/value.h"
#include "worker/proto/centrifuge/shapes.h"

namespace beamgate::proto::centrifuge {

std::string make_reply(uint64_t id, Method method, std::string_view result) {
  std::string out = "{";
  append_field(out, "id", id);
  out.append(",\"").append(name_of(method)).append("\":").append(result).append("}");
  return out;
}

std::string make_error(uint64_t id, ErrorCode code, std::string_view message) {
  std::string out = "{";
  append_field(out, "id", id);
  out += ",\"error\":{";
  append_field(out, "code", static_cast<uint64_t>(code));
  append_field(out += ',', "message", message.empty() ? text_of(code) : message);
  if (is_temporary(code)) out += ",\"temporary\":true";
  return out += "}}";
}

std::string make_push(std::string_view channel, std::string_view kind, std::string_view object) {
  std::string out = "{\"push\":{";
  if (!channel.empty()) {
    append_field(out, "channel", channel);
    out += ',';
  }
  return out.append("\"").append(kind).append("\":").append(object).append("}}");
}

std::string make_unsubscribe(std::string_view channel, const Ending& why) {
  std::string object = "{";
  append_field(object, "code", why.code);
  append_field(object += ',', "reason", why.reason);
  return make_push(channel, "unsubscribe", object += '}');
}

}  // namespace beamgate::proto::centrifuge
