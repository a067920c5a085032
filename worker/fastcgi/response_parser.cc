#include "worker/fastcgi/response_parser.h"

#include <algorithm>
#include <cstring>

#include "common/base/bytes.h"
#include "worker/http/grammar.h"

namespace beamgate::fastcgi {
namespace {

// FastCGI 1.0 section 5.5.
constexpr uint8_t kRequestComplete = 0;
constexpr uint8_t kOverloaded = 2;

}  // namespace

ResponseParser::State ResponseParser::feed(std::span<char> bytes, std::string_view& body) {
  body_at_ = body_bytes_ = 0;
  started_ = started_ || !bytes.empty();
  size_t at = 0;
  while ((state_ == State::Head || state_ == State::Body) && at < bytes.size()) {
    const std::span<char> rest = bytes.subspan(at);
    if (header_filled_ < kHeaderBytes) {
      at += take_header({rest.data(), rest.size()});
      if (header_filled_ == kHeaderBytes && !begin_record()) state_ = State::Invalid;
    } else if (content_left_ > 0) {
      const size_t part = std::min(content_left_, rest.size());
      content_left_ -= part;
      at += part;
      take_content(rest.first(part), bytes);
    } else {
      const size_t part = std::min(padding_left_, rest.size());
      padding_left_ -= part;
      at += part;
    }
    if (content_left_ == 0 && padding_left_ == 0 && header_filled_ == kHeaderBytes) header_filled_ = 0;
  }
  if (state_ == State::Complete) {  // The end's own padding may still come.
    const size_t part = std::min(padding_left_, bytes.size() - at);
    padding_left_ -= part;
    if (part < bytes.size() - at) surplus_ = true;
  }
  body = {bytes.data() + body_at_, body_bytes_};
  return state_;
}

ResponseParser::State ResponseParser::end() {
  if (state_ == State::Body || (state_ == State::Head && started_)) state_ = State::Invalid;
  surplus_ = true;
  return state_;
}

size_t ResponseParser::take_header(std::string_view bytes) {
  const size_t part = std::min(kHeaderBytes - header_filled_, bytes.size());
  memcpy(header_bytes_ + header_filled_, bytes.data(), part);
  header_filled_ += part;
  return part;
}

bool ResponseParser::begin_record() {
  record_ = read_header({header_bytes_, kHeaderBytes});
  content_left_ = record_.content_bytes;
  padding_left_ = record_.padding_bytes;
  if (record_.version != kVersion || record_.request_id != kRequestId) return false;
  switch (static_cast<RecordType>(record_.type)) {
    case RecordType::Stdout:
      if (stdout_ended_ && content_left_ > 0) return false;
      stdout_ended_ = stdout_ended_ || content_left_ == 0;
      return true;
    case RecordType::Stderr:
      return true;
    case RecordType::EndRequest:
      return content_left_ == kEndRequestBytes;
    default:
      return false;
  }
}

void ResponseParser::take_content(std::span<char> content, std::span<char> bytes) {
  switch (static_cast<RecordType>(record_.type)) {
    case RecordType::Stdout:
      return take_stdout(content, bytes);
    case RecordType::Stderr:
      return take_stderr({content.data(), content.size()});
    default:
      memcpy(end_bytes_ + kEndRequestBytes - content_left_ - content.size(), content.data(), content.size());
      if (content_left_ == 0) end_request();
  }
}

void ResponseParser::take_stderr(std::string_view text) {
  const size_t part = std::min(kErrorBytesMax - error_bytes_, text.size());
  error_bytes_ += part;
  errors_.append(text.substr(0, part));
}

void ResponseParser::take_stdout(std::span<char> content, std::span<char> bytes) {
  if (state_ == State::Head) content = content.subspan(take_head({content.data(), content.size()}));
  if (state_ == State::Body) add_body(content, bytes);
}

// Returns how many bytes belong to the head; all of them while it is incomplete.
size_t ResponseParser::take_head(std::string_view text) {
  const size_t before = head_text_.size();
  head_text_.append(text.substr(0, kHeadBytesMax + 1 - before));
  const bool found = find_head_end(std::max(line_at_, before));
  if (line_at_ > kHeadBytesMax || (!found && head_text_.size() > kHeadBytesMax)) {
    state_ = State::Invalid;
    return text.size();
  }
  if (!found) return text.size();
  state_ = parse_head() ? State::Body : State::Invalid;
  head_text_ = std::string();
  return line_at_ - before;
}

// Afterwards line_at_ is behind the empty line.
bool ResponseParser::find_head_end(size_t from) {
  for (size_t newline; (newline = head_text_.find('\n', from)) != std::string::npos; from = line_at_) {
    const size_t length = newline - line_at_;
    const bool empty = length == 0 || (length == 1 && head_text_[line_at_] == '\r');
    line_at_ = newline + 1;
    if (empty) return true;
  }
  return false;
}

bool ResponseParser::parse_head() {
  std::string_view rest(head_text_.data(), line_at_);
  for (;;) {
    const size_t newline = rest.find('\n');
    std::string_view line = rest.substr(0, newline);
    rest.remove_prefix(newline + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) break;
    if (!parse_line(line)) return false;
  }
  if (head_.fields.empty() && !status_said_ && !head_.content_length.has_value()) return false;
  if (!status_said_ && location_said_) head_.status = 302;
  if (head_.status == 204) head_.content_length.reset();
  if (head_.content_length.has_value()) length_left_ = *head_.content_length;
  return true;
}

bool ResponseParser::parse_line(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (!http::is_token(name) || !http::is_field_value(value)) return false;
  if (iequals(name, "status")) return parse_status(value);
  if (iequals(name, "content-length")) {
    uint64_t length = 0;
    if (head_.content_length.has_value() || !parse_decimal(value, length)) return false;
    head_.content_length = length;
    return true;
  }
  if (head_.fields.size() == kFieldsMax) return false;
  location_said_ = location_said_ || (iequals(name, "location") && !value.empty());
  head_.fields.push_back({std::string(name), std::string(value)});
  return true;
}

// "404" or "404 Not Found".
bool ResponseParser::parse_status(std::string_view value) {
  const std::string_view code = value.substr(0, value.find(' '));
  uint64_t status = 0;
  if (status_said_ || code.size() != 3 || !parse_decimal(code, status) || status < 200 || status > 599) return false;
  head_.status = static_cast<uint16_t>(status);
  status_said_ = true;
  return true;
}

// Pieces of the body are moved together, so that one read becomes one write: always towards the front, over bytes
// that have been read.
void ResponseParser::add_body(std::span<char> part, std::span<char> bytes) {
  const auto size = static_cast<size_t>(std::min<uint64_t>(part.size(), length_left_));
  if (size < part.size()) surplus_ = true;
  if (length_left_ != UINT64_MAX) length_left_ -= size;
  if (size == 0 || !may_have_body()) return;
  if (body_bytes_ == 0) body_at_ = static_cast<size_t>(part.data() - bytes.data());
  char* to = bytes.data() + body_at_ + body_bytes_;
  if (to != part.data()) memmove(to, part.data(), size);
  body_bytes_ += size;
}

void ResponseParser::end_request() {
  const auto protocol_status = static_cast<uint8_t>(end_bytes_[4]);
  const bool cut_short = length_left_ != UINT64_MAX && length_left_ > 0 && may_have_body();
  if (state_ == State::Body && protocol_status == kRequestComplete && !cut_short) {
    state_ = State::Complete;
    return;
  }
  state_ = State::Invalid;
  if (protocol_status == kOverloaded) {
    failure_ = {config::kNextError, 503, true, "the server is overloaded"};
  } else if (protocol_status != kRequestComplete) {
    failure_.text = "the server has refused the request";
  }
}

}  // namespace beamgate::fastcgi
