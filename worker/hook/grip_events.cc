#include "worker/hook/grip_events.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "common/crypto/crypto.h"
#include "common/json/value.h"

namespace beamgate::hook {
namespace {

constexpr size_t kEventsMax = 10'000;
constexpr int64_t kSignatureSeconds = 3'600;
constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kNames[] = {"OPEN", "TEXT", "BINARY", "PING", "PONG", "CLOSE", "DISCONNECT"};

constexpr Error kMalformed{Code::Invalid, 0, "malformed WebSocket events"};

std::string base64_url(std::string_view bytes) {
  std::string text = crypto::base64_encode(bytes);
  text.erase(text.find_last_not_of('=') + 1);
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

}  // namespace

void write_grip_event(GripEvent::Kind kind, std::string_view content, std::string& out) {
  out += kNames[static_cast<size_t>(kind)];
  const bool always = kind == GripEvent::Kind::Text || kind == GripEvent::Kind::Binary;
  if (content.empty() && !always) {
    out += kLineEnd;
    return;
  }
  char digits[20];
  const auto end = std::to_chars(digits, std::end(digits), content.size(), 16).ptr;
  out.append(1, ' ').append(digits, end).append(kLineEnd).append(content).append(kLineEnd);
}

Result<std::vector<GripEvent>> parse_grip_events(std::string_view body) {
  std::vector<GripEvent> events;
  while (!body.empty()) {
    const size_t line_end = body.find(kLineEnd);
    if (line_end == body.npos || events.size() == kEventsMax) return kMalformed;
    const std::string_view line = body.substr(0, line_end);
    body.remove_prefix(line_end + kLineEnd.size());
    const size_t space = std::min(line.find(' '), line.size());
    const auto name = std::find(std::begin(kNames), std::end(kNames), line.substr(0, space));
    if (name == std::end(kNames)) return kMalformed;
    GripEvent event{.kind = static_cast<GripEvent::Kind>(name - std::begin(kNames))};
    if (space < line.size()) {
      size_t length = 0;
      const char* const digits_end = line.data() + line.size();
      const auto parsed = std::from_chars(line.data() + space + 1, digits_end, length, 16);
      const bool whole = parsed.ec == std::errc() && parsed.ptr == digits_end && length <= body.size() &&
                         body.substr(length).starts_with(kLineEnd);
      if (!whole) return kMalformed;
      event.content = body.substr(0, length);
      body.remove_prefix(length + kLineEnd.size());
    }
    events.push_back(event);
  }
  return events;
}

std::string grip_signature(std::string_view key, std::string_view issuer, int64_t now_s) {
  json::Value claims = json::Value::object();
  claims.set("iss", issuer).set("exp", now_s + kSignatureSeconds);
  const std::string text = base64_url(R"({"alg":"HS256","typ":"JWT"})") + "." + base64_url(claims.dump());
  return text + "." + base64_url(crypto::hmac_sha256(key, text));
}

}  // namespace beamgate::hook
