#include "worker/ws/token_list.h"

#include <algorithm>

#include "common/base/bytes.h"

namespace beamgate::ws {
namespace {

bool is_token_byte(char c) {
  const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return alphanumeric || (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

size_t token_length(std::string_view text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_token_byte);
  return static_cast<size_t>(end - text.begin());
}

}  // namespace

bool is_token(std::string_view text) { return !text.empty() && token_length(text) == text.size(); }

void HeaderCursor::skip_space() {
  const size_t at = std::min(rest_.find_first_not_of(" \t"), rest_.size());
  rest_.remove_prefix(at);
}

bool HeaderCursor::at_end() {
  skip_space();
  return rest_.empty();
}

bool HeaderCursor::at_empty() {
  skip_space();
  return rest_.empty() || rest_.front() == ',';
}

bool HeaderCursor::take(char separator) {
  skip_space();
  if (rest_.empty() || rest_.front() != separator) return false;
  rest_.remove_prefix(1);
  return true;
}

std::string_view HeaderCursor::take_token() {
  skip_space();
  const std::string_view token = rest_.substr(0, token_length(rest_));
  rest_.remove_prefix(token.size());
  return token;
}

bool HeaderCursor::take_value(std::string& out) {
  skip_space();
  if (!rest_.empty() && rest_.front() == '"') return take_quoted(out);
  out = take_token();
  return !out.empty();
}

bool HeaderCursor::take_quoted(std::string& out) {
  out.clear();
  for (size_t at = 1; at < rest_.size(); ++at) {
    if (rest_[at] == '"') {
      rest_.remove_prefix(at + 1);
      return true;
    }
    if (rest_[at] == '\\' && ++at == rest_.size()) break;
    out += rest_[at];
  }
  return false;
}

bool has_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (iequals(trim(list.substr(0, comma)), token)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

}  // namespace beamgate::ws
