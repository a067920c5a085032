// Pusher frames: a client's frame that is read is read again from what is written of it; names, ids and signatures have
// one form.  Input: a frame, or a channel's name, or a socket id.
#include "common/base/assert.h"
#include "common/base/utf8.h"
#include "common/json/value.h"
#include "tests/fuzz/target.h"
#include "worker/hub/hub.h"
#include "worker/proto/pusher/channel_name.h"
#include "worker/proto/pusher/frames.h"
#include "worker/proto/pusher/signature.h"
#include "worker/proto/pusher/socket_id.h"

namespace beamgate::fuzz {
namespace {

void check_frame(std::string_view text) {
  const auto frame = pusher::parse_frame(text);
  if (!frame) return;
  BG_ASSERT(!frame->event.empty());
  const std::string data = frame->data.dump();
  const std::string written = pusher::event_frame(frame->event, frame->channel, data, pusher::user_text(frame->data));
  const auto again = pusher::parse_frame(written);
  BG_ASSERT(again && again->event == frame->event && again->channel == frame->channel);
  if (pusher::is_reserved_event(frame->event)) return;
  BG_ASSERT(again->data.as_string() == data);
}

void check_publication(std::string_view payload) {
  for (const auto kind : {ipc::PayloadKind::Text, ipc::PayloadKind::Binary}) {
    if (kind == ipc::PayloadKind::Text && !valid_utf8(payload)) continue;
    const std::string frame = pusher::publication_frame("room", kind, payload, {});
    const auto parsed = json::parse(frame);
    BG_ASSERT(parsed.ok() && parsed.value().get_string("channel") == "room");
    const auto data = parsed.value().get_string("data");
    BG_ASSERT(data.has_value());
    if (kind == ipc::PayloadKind::Text) BG_ASSERT(*data == payload);
  }
}

}  // namespace

FUZZ_TARGET(pusher_frames) {
  check_frame(bytes);
  check_publication(bytes);
  if (const auto id = pusher::parse_socket_id(bytes)) BG_ASSERT(pusher::format_socket_id(*id) == bytes);
  if (const auto name = pusher::parse_channel(bytes)) {
    const bool is_user = name->kind == pusher::ChannelKind::User;  // Whose id may be anything.
    BG_ASSERT(hub::Hub::valid_channel(bytes) && (is_user || bytes.size() <= pusher::kClientNameBytesMax));
    BG_ASSERT(is_user || bytes.find_first_of(" \n\"\\/?&") == bytes.npos);
    BG_ASSERT(name->kind != pusher::ChannelKind::Private || bytes.starts_with("private-"));
    BG_ASSERT((name->kind == pusher::ChannelKind::Presence) == bytes.starts_with("presence-"));
  }
  BG_ASSERT(pusher::verify("secret", bytes, pusher::sign("secret", bytes)));
  BG_ASSERT(!pusher::verify("secret", bytes, bytes));
}

}  // namespace beamgate::fuzz
