// Message: what a client of the Phoenix protocol sends, from its text and binary frames.
//
// Format     Serializer V2 (phoenix.js, serializer.js).  Text: a JSON array [join_ref, ref, topic, event,
// payload],
//            behind which more elements mean nothing.  Binary: 00, the lengths of join_ref, ref, topic and
//            event, one byte each, these texts, and the payload.
// Refs       Are the client's; they are kept as the JSON they were written in, so that they come back as they
// came. Errors     Invalid for anything else.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace beamgate::proto::phoenix {

constexpr size_t kRefBytesMax = 255;  // As binary frames have it.
constexpr std::string_view kNoRef = "null";

constexpr std::string_view kHeartbeatTopic = "phoenix";
constexpr std::string_view kHeartbeat = "heartbeat";
constexpr std::string_view kJoin = "phx_join";
constexpr std::string_view kLeave = "phx_leave";
constexpr std::string_view kReply = "phx_reply";
constexpr std::string_view kClose = "phx_close";
constexpr std::string_view kError = "phx_error";

struct Message {
  std::string join_ref{kNoRef};  // JSON: a string, a number or null.
  std::string ref{kNoRef};       // The same.
  std::string topic;
  std::string event;
  bool binary = false;
  std::string payload;  // JSON, or the bytes of a binary frame.
};

Result<Message> parse_message(bool binary, std::string_view frame);

// The protocol's own events, which a client may not send to others: they would believe them.
bool is_reserved(std::string_view event);

// The text of a ref, for binary frames; empty for null.
std::string ref_text(std::string_view ref);
// The other way: as it is written in a text frame.
std::string json_ref(std::string_view text);

}  // namespace beamgate::proto::phoenix
