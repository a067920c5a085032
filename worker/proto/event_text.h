// Event text: publications as text/event-stream writes them.
//
// Payload  Text and JSON as they are: each line is a data: line, and a reader joins them with LF, whatever the line
//          ends were.  Binary as a data: URL in base64, "data:application/octet-stream;base64,...", that fetch() reads.
// Source   HTML standard, section 9.2 "Server-sent events".
#pragma once

#include <string>
#include <string_view>

#include "common/ipc/messages.h"

namespace beamgate::proto {

// What tells a reader that publications are missing: its data is JSON with "reason", and "channel" where it is one's.
constexpr std::string_view kResetEvent = "beamgate.reset";

constexpr std::string_view kEventComment = ":\n\n";

// Binary bytes as text.
std::string binary_url(std::string_view bytes);

// The event but for its id and the empty line that ends it.
void write_event(std::string_view event, ipc::PayloadKind kind, std::string_view payload, std::string& out);

// Its id, and its end.  Without an event before it, an id is remembered and nobody is told of an event.
void write_event_end(std::string_view id, std::string& out);

}  // namespace beamgate::proto
