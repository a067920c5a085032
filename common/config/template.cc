#include "common/config/template.h"

namespace beamgate::config {
namespace {

void append_literal(std::vector<Template::Part>& parts, std::string_view text) {
  if (text.empty()) return;
  if (parts.empty() || parts.back().variable) parts.push_back({});
  parts.back().text += text;
}

// The variable's name that starts at text[at], after "$"; at moves behind it.
bool take_name(std::string_view text, size_t& at, std::string_view& name) {
  const bool braced = at < text.size() && text[at] == '{';
  const size_t begin = at + (braced ? 1 : 0);
  size_t end = begin;
  // $1 is one digit long: "$10" is the first capture and a zero, as in nginx.
  if (!braced && begin < text.size() && text[begin] >= '1' && text[begin] <= '9') {
    end = begin + 1;
  } else {
    while (end < text.size() && is_variable_byte(text[end])) ++end;
  }
  if (end == begin) return false;
  if (braced && (end >= text.size() || text[end] != '}')) return false;
  name = text.substr(begin, end - begin);
  at = end + (braced ? 1 : 0);
  return true;
}

}  // namespace

bool is_variable_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool Template::parse(std::string_view text, Template& out, std::string& error) {
  Template parsed;
  parsed.source_ = text;
  size_t at = 0;
  while (at < text.size()) {
    const size_t dollar = text.find('$', at);
    append_literal(parsed.parts_, text.substr(at, dollar - at));
    if (dollar == std::string_view::npos) break;
    at = dollar + 1;
    std::string_view name;
    if (!take_name(text, at, name)) {
      error = "invalid variable name at byte " + std::to_string(dollar + 1);
      return false;
    }
    parsed.parts_.push_back({true, std::string(name)});
  }
  out = std::move(parsed);
  return true;
}

void Template::expand(const Resolve& resolve, std::string& out) const {
  for (const Part& part : parts_) {
    if (part.variable) {
      resolve(part.text, out);
    } else {
      out += part.text;
    }
  }
}

}  // namespace beamgate::config
