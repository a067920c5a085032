#include "worker/proto/phoenix/message.h"

#include "common/base/utf8.h"
#include "common/json/value.h"

namespace beamgate::proto::phoenix {
namespace {

constexpr size_t kElements = 5;
constexpr size_t kPushHeadBytes = 5;
constexpr char kPush = 0;

// False: no ref, or a longer one than any client makes.
bool read_ref(const json::Value& value, std::string& ref) {
  if (!value.is_null() && !value.is_string() && !value.as_int()) return false;
  if (const auto text = value.as_string(); text && text->size() > kRefBytesMax) return false;
  ref = value.dump();
  return true;
}

Result<Message> parse_text(std::string_view frame) {
  const Result<json::Value> parsed = json::parse(frame);
  if (!parsed) return parsed.error();
  const json::Value::Array* elements = parsed.value().as_array();
  if (elements == nullptr || elements->size() < kElements) {
    return Error{Code::Invalid, 0, "not an array of join_ref, ref, topic, event and payload"};
  }
  Message message;
  if (!read_ref((*elements)[0], message.join_ref) || !read_ref((*elements)[1], message.ref)) {
    return Error{Code::Invalid, 0, "a ref is no short text"};
  }
  const auto topic = (*elements)[2].as_string();
  const auto event = (*elements)[3].as_string();
  if (!topic || !event) return Error{Code::Invalid, 0, "topic or event is no text"};
  message.topic = *topic;
  message.event = *event;
  (*elements)[4].dump_to(message.payload);
  return message;
}

Result<Message> parse_binary(std::string_view frame) {
  if (frame.size() < kPushHeadBytes || frame[0] != kPush) return Error{Code::Invalid, 0, "not a push"};
  std::string_view rest = frame.substr(kPushHeadBytes);
  std::string_view parts[4];
  for (size_t i = 0; i < 4; ++i) {
    const size_t bytes = static_cast<unsigned char>(frame[i + 1]);
    if (bytes > rest.size()) return Error{Code::Invalid, 0, "a push that ends too early"};
    parts[i] = rest.substr(0, bytes);
    rest.remove_prefix(bytes);
    if (!valid_utf8(parts[i])) return Error{Code::Invalid, 0, "a push whose texts are no UTF-8"};
  }
  Message message;
  message.join_ref = json_ref(parts[0]);
  message.ref = json_ref(parts[1]);
  message.topic = parts[2];
  message.event = parts[3];
  message.binary = true;
  message.payload = rest;
  return message;
}

}  // namespace

Result<Message> parse_message(bool binary, std::string_view frame) {
  return binary ? parse_binary(frame) : parse_text(frame);
}

bool is_reserved(std::string_view event) {
  return event.starts_with("phx_") || event.starts_with("presence_");
}

std::string json_ref(std::string_view text) {
  if (text.empty()) return std::string(kNoRef);
  std::string ref;
  json::append_string(ref, text);
  return ref;
}

std::string ref_text(std::string_view ref) {
  if (ref == kNoRef) return {};
  const Result<json::Value> parsed = json::parse(ref);
  const auto text = parsed ? parsed.value().as_string() : std::nullopt;
  return std::string(text ? *text : ref);
}

}  // namespace beamgate::proto::phoenix
