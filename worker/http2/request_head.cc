#include "worker/http2/request_head.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "worker/http/grammar.h"

namespace beamgate::http2 {
namespace {

using http::Verdict;

// What a request line's part may be made of; a space, or anything like one, would begin the next part.
bool is_line_part(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
  });
}

void append_line(std::string_view name, std::string_view value, std::string& out) {
  out.append(name).append(": ").append(value).append("\r\n");
}

// nghttp2 has looked at these already; but what is written into lines below must be right whatever it does.
bool is_sound(std::string_view name, std::string_view value) {
  for (const char* of_connection : {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}) {
    if (name == of_connection) return false;
  }
  const std::string_view token = name.starts_with(':') ? name.substr(1) : name;
  return http::is_token(token) && http::is_field_value(value) && (name != "te" || value == "trailers");
}

}  // namespace

void RequestHead::add(std::string_view name, std::string_view value) {
  bytes_ += name.size() + value.size() + 4;
  ++count_;
  const bool is_line = !name.starts_with(':') && name != "cookie";  // Cookie's crumbs are looked at as one.
  line_too_long_ = line_too_long_ || (is_line && name.size() + value.size() + 2 > limits_.field_line_bytes_max);
  if (is_too_long() || malformed_) return;
  malformed_ = !is_sound(name, value);
  if (malformed_) return;
  for (const auto& [pseudo, into] : {std::pair{":method", &method_},
                                     {":path", &path_},
                                     {":authority", &authority_},
                                     {":scheme", &scheme_},
                                     {":protocol", &protocol_}}) {
    if (name == pseudo) return into->assign(value), void();
  }
  if (name == "host" && !has_host_) {
    host_ = value;
    has_host_ = true;
  } else if (name == "cookie") {
    if (!cookie_.empty()) cookie_ += "; ";
    cookie_ += value;
  } else if (name == "sec-websocket-key") {
    key_ = value;  // A tunnel has none, RFC 8441 section 5.
  } else {
    append_line(name, value, fields_);
    ++lines_;
  }
}

bool RequestHead::is_too_long() const {
  return bytes_ > limits_.head_bytes_max || count_ > limits_.fields_max + kPseudoFields;
}

Verdict RequestHead::check() const {
  constexpr size_t kVersionBytes = sizeof "  HTTP/1.1" - 1;  // And the spaces of a request line.
  const size_t line_bytes = method_.size() + path_.size() + kVersionBytes;
  if (line_bytes > limits_.request_line_bytes_max) return {414, "the path is too long"};
  const bool cookie_too_long = cookie_.size() + 8 > limits_.field_line_bytes_max;
  if (line_too_long_ || cookie_too_long || is_too_long()) return {431, "the header list is too long"};
  if (malformed_) return {400, "malformed field"};
  if (!protocol_.empty() && !for_websocket()) return {501, "unknown protocol of an extended CONNECT"};
  if (method_ == "CONNECT" && protocol_.empty()) return {501, "no tunnels are made"};
  if (!http::is_token(method_)) return {400, "malformed method"};
  // An absolute target, which HTTP/1.1 would take, has no place here.
  const bool asterisk = path_ == "*" && method_ == "OPTIONS";
  if (!is_line_part(path_) || (path_[0] != '/' && !asterisk)) return {400, "malformed path"};
  if (scheme_ != "http" && scheme_ != "https") return {400, "unknown scheme"};
  if (!authority_.empty() && has_host_ && !iequals(authority_, host_)) return {400, "Host differs from :authority"};
  return {};
}

// Returns how many field lines there are.
uint32_t RequestHead::write(std::string_view websocket_key, std::string& text) const {
  uint32_t lines = lines_;
  const auto add = [&](std::string_view name, std::string_view value) {
    append_line(name, value, text);
    ++lines;
  };
  text.clear();
  text.reserve(bytes_ + 128);
  text.append(for_websocket() ? "GET" : method_).append(1, ' ').append(path_).append(" HTTP/1.1\r\n");
  if (!authority_.empty() || has_host_) add("Host", authority_.empty() ? host_ : authority_);
  if (for_websocket()) {
    add("Upgrade", "websocket");
    add("Connection", "Upgrade");
    add("Sec-WebSocket-Key", websocket_key);
  } else if (!key_.empty()) {
    add("sec-websocket-key", key_);
  }
  text.append(fields_);
  if (!cookie_.empty()) add("cookie", cookie_);
  text.append("\r\n");
  return lines;
}

Verdict RequestHead::read(bool has_body, std::string_view websocket_key, std::string& text, http::Request& request) {
  http::reset(request);
  request.http2 = true;
  const Verdict checked = check();
  if (!checked.good()) return checked;
  const uint32_t lines = write(websocket_key, text);
  const Verdict verdict = http::parse_request_head(text, lines, request);
  request.http2 = true;
  if (!verdict.good()) return verdict;
  const bool length_known = request.content_length.has_value();
  // What follows the head of a tunnel is the other protocol's.
  if (for_websocket()) return length_known ? Verdict{400, "a tunnel with a Content-Length"} : Verdict{};
  request.chunked = has_body && !length_known;
  return {};
}

}  // namespace beamgate::http2
