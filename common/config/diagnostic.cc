#include "common/config/diagnostic.h"

#include <algorithm>

#include "common/base/utf8.h"

namespace beamgate::config {
namespace {

struct Span {
  char32_t first;
  char32_t last;
};

// Unicode's controls, spaces other than U+0020, marks of direction and of joining, variation selectors, tags.
constexpr Span kUnseen[] = {{0x00, 0x1f},     {0x7f, 0xa0},     {0xad, 0xad},     {0x34f, 0x34f},   {0x61c, 0x61c},
                            {0x115f, 0x1160}, {0x1680, 0x1680}, {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x2000, 0x200f},
                            {0x2028, 0x202f}, {0x205f, 0x206f}, {0x3000, 0x3000}, {0x3164, 0x3164}, {0xfe00, 0xfe0f},
                            {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff}};

// REQUIRES: the sequence is well formed.
char32_t code_point(std::string_view sequence) {
  const auto lead = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return lead;
  char32_t out = lead & (0x7fu >> sequence.size());
  for (const char c : sequence.substr(1)) out = (out << 6) | (static_cast<unsigned char>(c) & 0x3fu);
  return out;
}

bool is_seen(std::string_view sequence) {
  const char32_t point = code_point(sequence);
  return std::none_of(std::begin(kUnseen), std::end(kUnseen),
                      [point](const Span& span) { return point >= span.first && point <= span.last; });
}

}  // namespace

std::string visible(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  while (!text.empty()) {
    const size_t length = utf8_sequence_length(text);
    const std::string_view sequence = text.substr(0, std::max<size_t>(length, 1));
    text.remove_prefix(sequence.size());
    if (length > 0 && is_seen(sequence)) {
      out += sequence;
      continue;
    }
    for (const char c : sequence) {
      const auto byte = static_cast<unsigned char>(c);
      ((out += "\\x") += kHex[byte >> 4]) += kHex[byte & 0xf];
    }
  }
  return out;
}

std::string Diagnostic::text() const {
  if (line == 0) return file + ": " + message;
  return file + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " + message;
}

std::string place(const std::vector<Source>& sources, Position at) {
  if (at.source >= sources.size()) return "line " + std::to_string(at.line);
  return sources[at.source].path + ":" + std::to_string(at.line);
}

void Diagnostics::add(std::vector<Entry>& to, Position at, std::string message) {
  if (to.size() < kDiagnosticsMax) to.push_back({at, std::move(message)});
}

std::vector<Diagnostic> Diagnostics::sorted(std::vector<Entry> entries, const std::vector<Source>& sources) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.at < b.at; });
  std::vector<Diagnostic> out;
  for (Entry& entry : entries) {
    const bool known = entry.at.source < sources.size();
    out.push_back({visible(known ? sources[entry.at.source].path : "configuration"), entry.at.line, entry.at.column,
                   visible(entry.message)});
  }
  return out;
}

}  // namespace beamgate::config
