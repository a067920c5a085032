#include "worker/hook/request_head.h"

#include <algorithm>

#include "worker/hook/header_text.h"

namespace beamgate::hook {
namespace {

// RFC 9110 section 5.5: visible characters, spaces, tabs and obs-text.
char clean(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte != 0x7f) || c == '\t' ? c : '?';
}

}  // namespace

void RequestHead::begin_line(std::string_view name) {
  starts_.push_back(text_.size());
  text_.append(name);
  text_ += ':';
}

void RequestHead::add(std::string_view name, std::string_view value) {
  if (value.empty()) return;
  begin_line(name);
  text_ += ' ';
  std::transform(value.begin(), value.end(), std::back_inserter(text_), clean);
  text_ += '\0';
}

void RequestHead::add_encoded(std::string_view name, std::string_view value) {
  if (value.empty()) return;
  begin_line(name);
  text_ += ' ';
  append_percent_encoded(text_, value);
  text_ += '\0';
}

void RequestHead::add_lines(std::string_view lines) {
  while (!lines.empty()) {
    const size_t end = std::min(lines.find("\r\n"), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 2, lines.size()));
    const size_t colon = line.find(':');
    if (colon == 0 || colon == std::string_view::npos) continue;
    std::string_view value = line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    add(line.substr(0, colon), value);
  }
}

void RequestHead::suppress(std::string_view name) {
  begin_line(name);  // "name:" and nothing behind it removes the field.
  text_ += '\0';
}

curl_slist* RequestHead::list() {
  nodes_.resize(starts_.size());
  for (size_t at = 0; at < nodes_.size(); ++at) {
    nodes_[at].data = text_.data() + starts_[at];
    nodes_[at].next = at + 1 < nodes_.size() ? &nodes_[at + 1] : nullptr;
  }
  return nodes_.empty() ? nullptr : nodes_.data();
}

}  // namespace beamgate::hook
