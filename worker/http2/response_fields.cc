#include "worker/http2/response_fields.h"

#include "common/base/bytes.h"
#include "worker/http/grammar.h"
#include "worker/http/status.h"

namespace beamgate::http2 {
namespace {

bool is_of_connection(std::string_view name) {
  for (const char* one : {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}) {
    if (name == one) return true;
  }
  return false;
}

bool has_field(const http::ResponseHead& head, std::string_view name) {
  for (const http::ResponseField& field : head.fields) {
    if (field.name.size() == name.size() && iequals(field.name, name)) return true;
  }
  return false;
}

}  // namespace

void ResponseFields::add(std::string_view name, std::string_view value) {
  if (!http::is_token(name)) return;
  const Span span{text_.size(), name.size(), trim(value).size()};
  text_ += to_lower(name);
  if (is_of_connection(std::string_view(text_).substr(span.name))) return text_.resize(span.name);
  const size_t from = text_.size();
  text_ += trim(value);
  for (size_t at = from; at < text_.size(); ++at) {
    if (!http::is_value_char(text_[at])) text_[at] = ' ';
  }
  spans_.push_back(span);
}

void ResponseFields::add_status(uint16_t status) {
  constexpr std::string_view kName = ":status";
  const std::string digits = std::to_string(status);
  spans_.push_back({text_.size(), kName.size(), digits.size()});
  text_.append(kName).append(digits);
}

void ResponseFields::add_head(const http::ResponseHead& head, const http::ResponseContext& context) {
  add_status(head.status);
  if (!has_field(head, "server")) add("server", context.server);
  if (!has_field(head, "date")) add("date", context.date);
  add_all(head.fields);
  // As in HTTP/1: HEAD and 304 may say how long the body would be; 204 and 1xx must not.
  const bool may_have_length = head.status == 304 || http::status_has_body(head.status);
  if (head.content_length.has_value() && may_have_length) add("content-length", std::to_string(*head.content_length));
}

void ResponseFields::add_all(const std::vector<http::ResponseField>& fields) {
  for (const http::ResponseField& field : fields) {
    if (!iequals(field.name, "content-length")) add(field.name, field.value);
  }
}

std::vector<nghttp2_nv>& ResponseFields::list() {
  list_.clear();
  for (const Span& span : spans_) {
    auto* name = reinterpret_cast<uint8_t*>(text_.data() + span.name);
    list_.push_back({name, name + span.name_bytes, span.name_bytes, span.value_bytes, NGHTTP2_NV_FLAG_NONE});
  }
  return list_;
}

void ResponseFields::clear() {
  text_.clear();
  spans_.clear();
}

}  // namespace beamgate::http2
