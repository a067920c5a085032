// Actions: what a reply of the application asks for, from its header fields and its body.
//
// Format   beamgate-user: U          beamgate-state: S          (percent-encoded, header_text.h; empty clears)
//          beamgate-subscribe: a, b  beamgate-unsubscribe: c    (repeatable, each name percent-encoded)
//          beamgate-close: 4001 reason
//          content-type: application/vnd.beamgate+json has a document instead of a body:
//            {"user": "u", "state": "s",  "subscribe": ["a"], "unsubscribe": ["c"],
//             "send": ["text", {"data": {"any": "json"}}, {"base64": "AAEC"}],
//             "publish": [{"channel": "a", "data": {"any": "json"}, "event": "e", "except": "0001000002a3b4c5"}],
//             "close": {"code": 4001, "reason": "bye"}}
//          A payload has one of text (string), data (any JSON; a string stands for its characters) or base64
//          (binary bytes).  "binary": true makes a binary message of text and data, false a text message of
//          base64.  event names a publication; except is the id of a connection that doesn't get it.  null for user or state clears it; a user may be an integer.
//          Any other body is one message to the sender, see is_text_type().
// Errors   Strict: what can't be understood, an unknown member included, refuses the whole reply with a text
//          that says what is wrong.  So does a user that no connection can have: its client would be let in as nobody.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "worker/hook/webhooks.h"

namespace beamgate::hook {

constexpr std::string_view kActionsType = "application/vnd.beamgate+json";

// Name and value of a reply's fields; names in lower case.
using Fields = std::vector<std::pair<std::string, std::string>>;

// All of a reply's actions; a body that is a document or a message is part of them.
Result<Actions> parse_actions(const Fields& fields, std::string_view content_type, std::string_view body);

// "type/subtype" in lower case, without parameters.
std::string media_type(std::string_view content_type);

// Sent as a text message: text/*, JSON, XML, JavaScript, forms, and +json and +xml types.
bool is_text_type(std::string_view media_type);

}  // namespace beamgate::hook
