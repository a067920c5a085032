#include "worker/hook/reply_reader.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "worker/hook/retry_after.h"
#include "worker/http/grammar.h"

namespace beamgate::hook {
namespace {

// What a client may get to see of a handshake's answer.
constexpr std::string_view kPassed[] = {"cache-control", "content-language",       "retry-after",
                                        "set-cookie",    "sec-websocket-protocol", "www-authenticate"};

bool passed(std::string_view name) {
  return std::find(std::begin(kPassed), std::end(kPassed), name) != std::end(kPassed);
}

std::string_view strip_line_end(std::string_view line) {
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// What grip_actions() looks at.
bool is_of_grip(std::string_view name) {
  return name.starts_with("set-meta-") || name == "sec-websocket-extensions" || name == "keep-alive-interval" ||
         name == "content-bytes-accepted";
}

}  // namespace

bool ReplyReader::on_head_line(std::string_view line) {
  head_bytes_ += line.size();
  if (head_bytes_ > kHeadBytesMax) {
    too_big_ = true;
    return false;
  }
  line = strip_line_end(line);
  const size_t colon = line.find(':');
  if (line.starts_with("HTTP/")) {
    fields_.clear();
  } else if (colon != std::string_view::npos) {
    keep(to_lower(line.substr(0, colon)), trim(line.substr(colon + 1)));
  }
  return true;
}

void ReplyReader::keep(std::string_view name, std::string_view value) {
  if (!http::is_field_value(value)) return;
  if (name == "content-type" || name.starts_with("beamgate-") || passed(name) || (grip_ && is_of_grip(name))) {
    fields_.emplace_back(name, value);
  }
}

bool ReplyReader::on_body(std::string_view bytes) {
  body_bytes_ += bytes.size();
  if (body_bytes_ > body_max_) {
    too_big_ = true;
    return false;
  }
  if (!status_only_) body_.append(bytes);
  return true;
}

Result<Actions> ReplyReader::actions_of(const Reply& reply) const {
  if (grip_) return grip_actions(fields_, reply.content_type, body_, *grip_, grip_opening_);
  return parse_actions(fields_, reply.content_type, body_);
}

Reply ReplyReader::finish(uint16_t status, int64_t now_unix_ms) {
  Reply reply;
  reply.outcome = Outcome::Answered;
  reply.status = status;
  for (const auto& [name, value] : fields_) {
    if (name == "content-type") reply.content_type = value;
    if (name == "retry-after") reply.retry_after_ms = parse_retry_after(value, now_unix_ms);
    if (passed(name)) reply.fields.emplace_back(name, value);
  }
  if (status < 100 || status > 599) {  // RFC 9110 section 15.
    reply.outcome = Outcome::Malformed;
    error_ = "the status is none of HTTP";
  }
  if (reply.accepted() && !status_only_) {
    auto actions = actions_of(reply);
    if (actions) {
      reply.actions = std::move(actions).value();
    } else {
      reply.outcome = Outcome::Malformed;
      error_ = actions.error().text;
    }
  }
  reply.body = std::move(body_);
  return reply;
}

}  // namespace beamgate::hook
