#include "worker/proto/phoenix/frames.h"

#include <initializer_list>

#include "common/base/assert.h"
#include "common/crypto/crypto.h"
#include "common/json/value.h"
#include "worker/proto/phoenix/message.h"

namespace beamgate::proto::phoenix {
namespace {

constexpr char kPushKind = 0;
constexpr char kReplyKind = 1;
constexpr char kBroadcastKind = 2;

std::string binary_frame(char kind, std::initializer_list<std::string_view> texts, std::string_view payload) {
  std::string out(1, kind);
  for (const std::string_view text : texts) {
    BG_ASSERT(text.size() <= 255);
    out += static_cast<char>(text.size());
  }
  for (const std::string_view text : texts) out += text;
  return out.append(payload);
}

std::string reply_payload(Status status, std::string_view response) {
  std::string out = R"({"status":")";
  out.append(name_of(status)).append(R"(","response":)").append(response);
  return out += '}';
}

}  // namespace

std::string_view name_of(Status status) {
  return status == Status::Ok ? "ok" : "error";
}

std::string text_frame(std::string_view join_ref, std::string_view ref, std::string_view topic,
                       std::string_view event, std::string_view payload) {
  std::string out;
  out.reserve(join_ref.size() + ref.size() + topic.size() + event.size() + payload.size() + 16);
  out.append(1, '[').append(join_ref).append(1, ',').append(ref).append(1, ',');
  json::append_string(out, topic);
  out += ',';
  json::append_string(out, event);
  return out.append(1, ',').append(payload).append(1, ']');
}

std::string text_reply(std::string_view join_ref, std::string_view ref, std::string_view topic, Status status,
                       std::string_view response) {
  return text_frame(join_ref, ref, topic, kReply, reply_payload(status, response));
}

std::string text_broadcast(std::string_view topic, std::string_view event, std::string_view payload) {
  return text_frame(kNoRef, kNoRef, topic, event, payload);
}

std::string binary_push(std::string_view join_ref, std::string_view topic, std::string_view event,
                        std::string_view payload) {
  return binary_frame(kPushKind, {ref_text(join_ref), topic, event}, payload);
}

std::string binary_reply(std::string_view join_ref, std::string_view ref, std::string_view topic,
                         Status status, std::string_view payload) {
  return binary_frame(kReplyKind, {ref_text(join_ref), ref_text(ref), topic, name_of(status)}, payload);
}

std::string binary_broadcast(std::string_view topic, std::string_view event, std::string_view payload) {
  return binary_frame(kBroadcastKind, {topic, event}, payload);
}

std::string text_of_binary(std::string_view frame) {
  if (frame.empty() || frame[0] < kPushKind || frame[0] > kBroadcastKind) return {};
  const char kind = frame[0];
  const size_t count = kind == kPushKind ? 3 : kind == kReplyKind ? 4 : 2;
  if (frame.size() <= count) return {};
  std::string_view texts[4];
  std::string_view rest = frame.substr(1 + count);
  for (size_t i = 0; i < count; ++i) {
    const size_t bytes = static_cast<unsigned char>(frame[1 + i]);
    if (bytes > rest.size()) return {};
    texts[i] = rest.substr(0, bytes);
    rest.remove_prefix(bytes);
  }
  const std::string payload = R"({"base64":")" + crypto::base64_encode(rest) + R"("})";
  if (kind == kPushKind) return text_frame(json_ref(texts[0]), kNoRef, texts[1], texts[2], payload);
  if (kind == kBroadcastKind) return text_broadcast(texts[0], texts[1], payload);
  const Status status = texts[3] == name_of(Status::Ok) ? Status::Ok : Status::Error;
  return text_reply(json_ref(texts[0]), json_ref(texts[1]), texts[2], status, payload);
}

std::string reason_json(std::string_view reason) {
  std::string out = R"({"reason":)";
  json::append_string(out, reason);
  return out += '}';
}

}  // namespace beamgate::proto::phoenix
