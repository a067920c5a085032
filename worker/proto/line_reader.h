// Line reader: where lines end in a client's bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/ipc/messages.h"

namespace beamgate::proto {

struct LineStep {
  enum class Kind : uint8_t { Line, NeedMore, TooLong };
  Kind kind = Kind::NeedMore;
  std::string_view line;  // Without its end, LF or CRLF.
  size_t consumed = 0;
};

// The first line of these bytes.  TooLong: it has more than `bytes_max` bytes, whether its end has come or not.
LineStep read_line(std::string_view bytes, size_t bytes_max);

// A publication as one line, its LF included: the text of a JSON string, else the text as it is, with a space for each
// line end; binary as a data: URL in base64, as event streams have it (event_text.h).
void write_line(ipc::PayloadKind kind, std::string_view payload, std::string& out);

}  // namespace beamgate::proto
