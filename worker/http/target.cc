#include "worker/http/target.h"

#include "common/base/bytes.h"
#include "worker/http/grammar.h"

namespace beamgate::http {
namespace {

bool has_prefix(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && iequals(text.substr(0, prefix.size()), prefix);
}

// `out` ends behind a segment that has just been completed: resolves it if it is "." or "..".
bool resolve_last_segment(std::string& out) {
  const size_t slash = out.rfind('/');
  const std::string_view segment = std::string_view(out).substr(slash + 1);
  if (segment == ".") {
    out.resize(slash + 1);
  } else if (segment == "..") {
    if (slash == 0) return false;
    out.resize(out.rfind('/', slash - 1) + 1);
  } else {
    return true;
  }
  return true;
}

// The byte at path[at], decoded; advances `at` to its last character.  False for a bad escape or a NUL.
bool decode_byte(std::string_view path, size_t& at, char& out) {
  out = path[at];
  if (out == '%') {
    if (at + 2 >= path.size()) return false;
    const int high = hex_value(path[at + 1]);
    const int low = hex_value(path[at + 2]);
    if (high < 0 || low < 0) return false;
    out = static_cast<char>(high << 4 | low);
    at += 2;
  }
  return out != '\0';
}

}  // namespace

uint16_t split_target(std::string_view method, std::string_view target, Target& out) {
  out = Target{};
  if (target.find('#') != target.npos) return 400;
  if (target == "*") {
    out.path = target;
    return method == "OPTIONS" ? 0 : 400;
  }
  const size_t scheme_bytes = has_prefix(target, "http://") ? 7 : has_prefix(target, "https://") ? 8 : 0;
  if (scheme_bytes > 0) {
    target.remove_prefix(scheme_bytes);
    const size_t authority_end = std::min(target.find_first_of("/?"), target.size());
    if (authority_end == 0) return 400;
    out.authority = target.substr(0, authority_end);
    target.remove_prefix(authority_end);
  } else if (target.empty() || target[0] != '/') {
    return 400;
  }
  // RFC 9112 section 3.2.4: without a path it asks about the server as a whole.
  if (target.empty() && method == "OPTIONS") target = "*";
  const size_t question = std::min(target.find('?'), target.size());
  out.path = question == 0 ? std::string_view("/") : target.substr(0, question);
  if (question < target.size()) out.query = target.substr(question + 1);
  return 0;
}

bool normalise_path(std::string_view path, std::string& out) {
  out.clear();
  out.reserve(path.size());
  for (size_t at = 0; at < path.size(); ++at) {
    char c = 0;
    if (!decode_byte(path, at, c)) return false;
    if (c != '/') {
      if (out.empty()) return false;  // There would be no root that dot segments stay below.
      out += c;
      continue;
    }
    if (!out.empty() && !resolve_last_segment(out)) return false;
    if (out.empty() || out.back() != '/') out += '/';
  }
  return !out.empty() && resolve_last_segment(out);
}

std::string encode_path(std::string_view path) {
  constexpr std::string_view kPlain = "/-._~!$&'()*+,;=:@";
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter || is_digit(c) || kPlain.find(c) != kPlain.npos) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 0xf];
    }
  }
  return out;
}

}  // namespace beamgate::http
