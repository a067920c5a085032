#include "common/base/printable.h"

#include <cstdio>

#include "common/base/utf8.h"

namespace beamgate {
namespace {

// Bytes at the front that are one character which is shown as it is; 0: there is none.
size_t shown_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x20 || first == 0x7f) return 0;
  const size_t length = utf8_sequence_length(text);
  return first == 0xc2 && length == 2 && static_cast<unsigned char>(text[1]) < 0xa0 ? 0 : length;
}

}  // namespace

bool is_printable(std::string_view text) {
  while (!text.empty()) {
    const size_t shown = shown_bytes(text);
    if (shown == 0) return false;
    text.remove_prefix(shown);
  }
  return true;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t shown = shown_bytes(text);
    if (shown > 0) {
      out += text.substr(0, shown);
      text.remove_prefix(shown);
      continue;
    }
    char escaped[8];
    snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(text[0]));
    out += escaped;
    text.remove_prefix(1);
  }
  return out;
}

}  // namespace beamgate
