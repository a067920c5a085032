// Replies: what is sent to a client, one JSON object each.
//
// Format   {"id":N,"METHOD":RESULT}, {"id":N,"error":{...}}, {"push":{"channel":"...","KIND":{...}}}.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "worker/proto/centrifuge/codes.h"
#include "worker/proto/centrifuge/commands.h"

namespace beamgate::proto::centrifuge {

constexpr size_t kReplyOverhead = 256;  // Of a reply around its result, and its frame.

// result: JSON.
std::string make_reply(uint64_t id, Method method, std::string_view result);
std::string make_error(uint64_t id, ErrorCode code, std::string_view message = {});  // Empty: the code's own.
// kind: "pub", "join", ...; object: JSON.  channel may be empty.
std::string make_push(std::string_view channel, std::string_view kind, std::string_view object);
std::string make_unsubscribe(std::string_view channel, const Ending& why);

}  // namespace beamgate::proto::centrifuge
