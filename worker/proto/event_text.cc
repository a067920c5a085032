#include "worker/proto/event_text.h"

#include <algorithm>

#include "common/crypto/crypto.h"

namespace beamgate::proto {
namespace {

constexpr std::string_view kBinaryUrl = "data:application/octet-stream;base64,";

// CR, LF or both end a line; a text that ends with one has an empty line behind it.
void write_data(std::string_view text, std::string& out) {
  while (true) {
    const size_t end = std::min(text.find_first_of("\r\n"), text.size());
    out.append("data: ").append(text.substr(0, end)).append(1, '\n');
    if (end == text.size()) return;
    text.remove_prefix(text.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
  }
}

}  // namespace

std::string binary_url(std::string_view bytes) { return std::string(kBinaryUrl) + crypto::base64_encode(bytes); }

void write_event(std::string_view event, ipc::PayloadKind kind, std::string_view payload, std::string& out) {
  if (!event.empty()) {
    out += "event: ";
    for (const char c : event) out += c == '\r' || c == '\n' ? ' ' : c;
    out += '\n';
  }
  if (kind == ipc::PayloadKind::Binary) {
    out.append("data: ").append(binary_url(payload)).append(1, '\n');
  } else {
    write_data(payload, out);
  }
}

void write_event_end(std::string_view id, std::string& out) {
  if (!id.empty()) out.append("id: ").append(id).append(1, '\n');
  out += '\n';
}

}  // namespace beamgate::proto
