#include "worker/proto/line_reader.h"

#include <algorithm>

#include "common/json/value.h"
#include "worker/proto/event_text.h"

namespace beamgate::proto {

LineStep read_line(std::string_view bytes, size_t bytes_max) {
  // One more for a CR that belongs to the end.
  const size_t end = bytes.substr(0, bytes_max + 2).find('\n');
  if (end == bytes.npos) {
    const bool too_long = bytes.size() > bytes_max + 1 || (bytes.size() > bytes_max && bytes[bytes_max] != '\r');
    return {.kind = too_long ? LineStep::Kind::TooLong : LineStep::Kind::NeedMore};
  }
  std::string_view line = bytes.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.size() > bytes_max) return {.kind = LineStep::Kind::TooLong};
  return {.kind = LineStep::Kind::Line, .line = line, .consumed = end + 1};
}

void write_line(ipc::PayloadKind kind, std::string_view payload, std::string& out) {
  const size_t begin = out.size();
  if (kind == ipc::PayloadKind::Binary) {
    out += binary_url(payload);
  } else {
    const bool may_be_string = kind == ipc::PayloadKind::Json && payload.find('"') != payload.npos;
    const auto json = may_be_string ? json::parse(payload) : Result<json::Value>(json::Value());
    const auto text = json.ok() ? json.value().as_string() : std::nullopt;
    out += text.value_or(payload);
    std::replace_if(out.begin() + static_cast<ptrdiff_t>(begin), out.end(),
                    [](char c) { return c == '\n' || c == '\r'; }, ' ');
  }
  out += '\n';
}

}  // namespace beamgate::proto
