#include "worker/hook/cloud_event.h"

#include <algorithm>

#include "common/base/clock.h"
#include "common/json/value.h"
#include "common/version.h"
#include "worker/hook/header_text.h"
#include "worker/hook/signature.h"
#include "worker/record/uid.h"

namespace beamgate::hook {
namespace {

bool path_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~:@/").find(c) != std::string_view::npos;
}

void append_member(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out += ',';
  json::append_string(out, name);
  out += ':';
  json::append_string(out, value);
}

constexpr std::string_view kUserAgent = "beamgate/" BEAMGATE_VERSION;

bool has_line(std::string_view lines, std::string_view start) {
  const size_t at = lines.find(start);
  return at == 0 || (at != std::string_view::npos && lines[at - 1] == '\n');
}

void add_common(RequestHead& head, std::string_view content_type, std::string_view id,
                const std::vector<Secret>& keys, std::string_view body, int64_t now_ms) {
  head.add("content-type", content_type.empty() ? "application/octet-stream" : content_type);
  head.suppress("accept");
  head.suppress("expect");  // The answer decides, not a 100 before it.
  head.add_encoded("webhook-id", id);
  const int64_t timestamp = now_ms / 1000;
  head.add("webhook-timestamp", std::to_string(timestamp));
  head.add("webhook-signature", sign(keys, id, timestamp, body));
}

// A request target has no spaces or controls; its own percent-encoding stays as it is.
std::string clean_target(std::string_view target) {
  std::string out(target);
  std::replace_if(out.begin(), out.end(), [](char c) { return c <= 0x20 || c >= 0x7f; }, '?');
  return out;
}

}  // namespace

std::string source_of(const Subject& subject) {
  std::string out = "/";
  for (const char c : subject.listener) {
    if (path_character(c)) {
      out += c;
    } else {
      static constexpr char kHex[] = "0123456789ABCDEF";
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[c & 15];
    }
  }
  return out + "/" + record::format_uid(subject.uid);
}

RequestHead head_of_call(const Call& call, int64_t now_ms) {
  RequestHead head;
  add_common(head, call.content_type, call.id, call.endpoint->secrets, call.body, now_ms);
  // Where the client's own is forwarded, it takes this place.
  if (!has_line(call.subject.forward_fields, "user-agent:")) head.add("user-agent", kUserAgent);
  head.add("ce-specversion", "1.0");
  head.add_encoded("ce-id", call.id);
  head.add("ce-time", format_rfc3339(now_ms));
  head.add("ce-source", source_of(call.subject));
  head.add("ce-type", call.type);
  head.add("beamgate-connection", record::format_uid(call.subject.uid));
  head.add("beamgate-uri", clean_target(call.subject.uri));
  head.add_encoded("beamgate-user", call.subject.user);
  head.add_encoded("beamgate-channel", call.channel);
  head.add_encoded("beamgate-event", call.event);
  head.add_encoded("beamgate-state", call.subject.state);
  head.add_lines(call.subject.forward_fields);
  return head;
}

RequestHead head_of_batch(std::string_view id, const std::vector<Secret>& keys, std::string_view body,
                          int64_t now_ms) {
  RequestHead head;
  add_common(head, "application/cloudevents-batch+json; charset=utf-8", id, keys, body, now_ms);
  head.add("user-agent", kUserAgent);
  return head;
}

std::string json_of_event(const Event& event, int64_t now_ms) {
  const std::string uid = record::format_uid(event.subject.uid);
  std::string out = R"({"specversion":"1.0")";
  append_member(out, "id", "evt_" + uid + "_" + std::to_string(event.sequence));
  append_member(out, "source", source_of(event.subject));
  append_member(out, "type", event.type);
  append_member(out, "time", format_rfc3339(now_ms));
  append_member(out, "beamgateconnection", uid);
  append_member(out, "beamgateuser", event.subject.user);
  append_member(out, "beamgatestate", event.subject.state);
  out += ",\"beamgatesequence\":" + std::to_string(event.sequence);
  append_member(out, "datacontenttype", "application/json");
  out += ",\"data\":";
  out += event.data.empty() ? std::string_view("{}") : event.data;
  out += '}';
  return out;
}

}  // namespace beamgate::hook
