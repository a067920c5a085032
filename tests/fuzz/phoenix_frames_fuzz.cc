// Phoenix frames: a message that is read comes back the same from the frame that it is written as, in both forms; so do
// bodies of long polls, tags and tokens.  Input: a byte (0 text, 1 binary, 2 a post), then the frame.
#include "common/base/assert.h"
#include "common/base/utf8.h"
#include "common/json/value.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "worker/proto/phoenix/frames.h"
#include "worker/proto/phoenix/longpoll_body.h"
#include "worker/proto/phoenix/longpoll_token.h"
#include "worker/proto/phoenix/message.h"
#include "worker/proto/phoenix/payload.h"
#include "worker/proto/phoenix/tag.h"

namespace beamgate::fuzz {
namespace {

using namespace proto::phoenix;

std::string binary_message(const Message& message) {
  std::string head(1, '\0'), texts;
  for (const std::string& text : {ref_text(message.join_ref), ref_text(message.ref), message.topic, message.event}) {
    BG_ASSERT(text.size() <= 255);
    head += static_cast<char>(text.size());
    texts += text;
  }
  return head + texts + message.payload;
}

void check_message(bool binary, std::string_view frame) {
  const auto parsed = parse_message(binary, frame);
  if (!parsed.ok()) return;
  const Message& message = parsed.value();
  BG_ASSERT(message.binary == binary);
  for (const std::string& text : {message.join_ref, message.ref, message.topic, message.event}) BG_ASSERT(valid_utf8(text));
  BG_ASSERT(ref_text(message.join_ref).size() <= kRefBytesMax);
  if (binary) {
    BG_ASSERT(binary_message(message) == frame);
    const std::string push = binary_push(message.join_ref, message.topic, message.event, message.payload);
    const std::string text = text_of_binary(push);
    BG_ASSERT(!text.empty() && json::parse(text).ok());
    return;
  }
  const std::string written = text_frame(message.join_ref, message.ref, message.topic, message.event, message.payload);
  const auto again = parse_message(false, written);
  BG_ASSERT(again.ok() && again.value().join_ref == message.join_ref && again.value().ref == message.ref);
  BG_ASSERT(again.value().topic == message.topic && again.value().event == message.event && again.value().payload == message.payload);
  const std::string tag_text = encode_tag({message.join_ref, message.ref, message.payload});
  const Tag tag = decode_tag(tag_text);
  BG_ASSERT(tag.join_ref == message.join_ref && tag.ref == message.ref && tag.response == message.payload);
  BG_ASSERT(json::parse(text_reply(message.join_ref, message.ref, message.topic, Status::Ok, message.payload)).ok());
}

void check_broadcast(std::string_view payload) {
  for (const auto kind : {ipc::PayloadKind::Text, ipc::PayloadKind::Binary}) {
    if (kind == ipc::PayloadKind::Text && !valid_utf8(payload)) continue;
    const Broadcast broadcast = broadcast_of("room", kind, payload, {});
    BG_ASSERT(!broadcast.bytes.empty() && broadcast.binary == (kind == ipc::PayloadKind::Binary));
    if (!broadcast.binary) BG_ASSERT(json::parse(broadcast.bytes).ok());
  }
}

}  // namespace

FUZZ_TARGET(phoenix_frames) {
  Input input(bytes);
  const uint8_t mode = input.byte();
  if (mode < 2) check_message(mode == 1, input.rest());
  if (mode < 2) return check_broadcast(input.rest());
  if (const auto uid = uid_of_token(input.rest())) BG_ASSERT(uid_of_token(make_token(*uid)) == uid);
  const auto frames = parse_post(input.rest());
  if (!frames) return;
  BG_ASSERT(frames->size() <= kFramesMax);
  for (const PostedFrame& frame : *frames) check_message(frame.binary, frame.bytes);
}

}  // namespace beamgate::fuzz
