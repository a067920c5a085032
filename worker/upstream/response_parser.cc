#include "worker/upstream/response_parser.h"

#include <cstring>

#include "common/base/assert.h"
#include "common/base/bytes.h"
#include "worker/upstream/fields.h"

namespace beamgate::upstream {
namespace {

constexpr std::string_view kProtocol = "HTTP/1.";

// A line of a head, without its CRLF: no control byte but tab, no folding of the line before, no empty name
// (llhttp lets the last two pass).
bool is_clean_line(std::string_view line) {
  for (const char byte : line) {
    const auto value = static_cast<unsigned char>(byte);
    if ((value < 0x20 && value != '\t') || value == 0x7f) return false;
  }
  return line.empty() || (line[0] != ' ' && line[0] != '\t' && line[0] != ':');
}

}  // namespace

HeadScanner::Found HeadScanner::scan(std::string_view text) {
  if (text.substr(0, kProtocol.size()) != kProtocol.substr(0, text.size())) return Found::Bad;
  for (;;) {
    const size_t newline = text.find('\n', at_);
    if (newline == std::string_view::npos) return Found::More;
    if (newline == at_ || text[newline - 1] != '\r') return Found::Bad;
    const std::string_view line = text.substr(at_, newline - 1 - at_);
    if (!is_clean_line(line)) return Found::Bad;
    at_ = newline + 1;
    if (line.empty()) return Found::End;
  }
}

struct ResponseParser::Callbacks {
  static ResponseParser& self(llhttp_t* parser) { return *static_cast<ResponseParser*>(parser->data); }

  static int on_field(llhttp_t* parser, const char* at, size_t size) noexcept {
    ResponseParser& response = self(parser);
    if (response.fields_.size() == kFieldsMax) return -1;
    response.fields_.push_back({{at, size}, {}});
    return 0;
  }

  static int on_value(llhttp_t* parser, const char* at, size_t size) noexcept {
    ResponseParser& response = self(parser);
    if (response.fields_.empty()) return -1;
    // llhttp may report one value in several pieces; they follow each other in the head.
    std::string_view& value = response.fields_.back().value;
    value = value.empty() ? std::string_view(at, size)
                          : std::string_view(value.data(), static_cast<size_t>(at + size - value.data()));
    return 0;
  }

  // 1 tells llhttp that no body follows.
  static int on_head(llhttp_t* parser) noexcept {
    ResponseParser& response = self(parser);
    if (!response.accept_head()) return -1;
    const int status = parser->status_code;
    const bool bodyless = status == 101 || status == 204 || status == 304;
    return response.interim_ || response.asked_.head || bodyless ? 1 : 0;
  }

  static int on_body(llhttp_t* parser, const char* at, size_t size) noexcept {
    self(parser).add_body(at, size);
    return 0;
  }

  static int on_complete(llhttp_t* parser) noexcept {
    ResponseParser& response = self(parser);
    response.message_complete_ = true;
    response.keep_alive_ = llhttp_should_keep_alive(parser) != 0;
    return HPE_PAUSED;
  }

  static const llhttp_settings_t& settings() {
    static const llhttp_settings_t kSettings = [] {
      llhttp_settings_t made;
      llhttp_settings_init(&made);
      made.on_header_field = on_field;
      made.on_header_value = on_value;
      made.on_headers_complete = on_head;
      made.on_body = on_body;
      made.on_message_complete = on_complete;
      return made;
    }();
    return kSettings;
  }
};

ResponseParser::State ResponseParser::feed(std::span<char> bytes, std::string_view& body) {
  body = {};
  started_ = started_ || !bytes.empty();
  while (state_ == State::Head && !bytes.empty()) bytes = bytes.subspan(take_head(bytes));
  if (state_ == State::Body && !bytes.empty()) {
    run_body(bytes, body);
  } else if (state_ == State::Switched) {
    body = std::string_view(bytes.data(), bytes.size());
  } else if (state_ == State::Complete && !bytes.empty()) {
    surplus_ = true;
  }
  return state_;
}

ResponseParser::State ResponseParser::end() {
  if (state_ == State::Body && chunked_) {
    state_ = State::Invalid;
  } else if (state_ == State::Body) {
    llhttp_finish(&parser_);
    state_ = message_complete_ ? State::Complete : State::Invalid;
  } else if (state_ == State::Head && started_) {
    state_ = State::Invalid;  // Otherwise nothing has begun, and another connection may still answer.
  }
  keep_alive_ = false;
  return state_;
}

// Returns how many bytes belong to this head; all of them while it is incomplete.
size_t ResponseParser::take_head(std::span<char> bytes) {
  const size_t before = partial_.size();
  std::string_view text(bytes.data(), bytes.size());
  if (before > 0) {
    partial_.append(text.substr(0, kHeadBytesMax - before));
    text = partial_;
  }
  const HeadScanner::Found found = scanner_.scan(text);
  const size_t size = scanner_.end();
  if (found == HeadScanner::Found::Bad || size > kHeadBytesMax ||
      (found == HeadScanner::Found::More && text.size() >= kHeadBytesMax)) {
    state_ = State::Invalid;
    return bytes.size();
  }
  if (found == HeadScanner::Found::More) {
    if (before == 0) partial_.assign(text);
    return bytes.size();
  }
  parse_head(text.substr(0, size));
  partial_.clear();
  scanner_.reset();
  return size - before;
}

void ResponseParser::parse_head(std::string_view head) {
  llhttp_init(&parser_, HTTP_RESPONSE, &Callbacks::settings());
  parser_.data = this;
  fields_.clear();
  interim_ = false;
  message_complete_ = false;
  // llhttp wants the whole head and nothing behind it: what follows is then its state, not its input.
  const llhttp_errno_t error = llhttp_execute(&parser_, head.data(), head.size());
  const bool complete = error == HPE_PAUSED && message_complete_;
  if (error != HPE_OK && !complete) {
    state_ = State::Invalid;
  } else if (interim_) {
    if (!complete || ++interim_count_ > kInterimMax) state_ = State::Invalid;
  } else if (!head_accepted_) {
    state_ = State::Invalid;
  } else {
    state_ = complete ? State::Complete : State::Body;
    if (head_.status == 101) state_ = State::Switched;
    llhttp_resume(&parser_);
  }
}

bool ResponseParser::accept_head() {
  const int status = parser_.status_code;
  if (parser_.http_major != 1 || parser_.http_minor > 1) return false;
  if (status < 100 || status > 599) return false;
  if (status == 101) {
    head_accepted_ = accept_switch() && build_head();
    return head_accepted_;
  }
  interim_ = status < 200;
  if (interim_) {
    if (!build_head()) return false;
    if (status != 100) interims_.push_back(head_);
    return true;
  }
  head_accepted_ = accept_framing() && build_head();
  return head_accepted_;
}

// RFC 9110 section 7.8, RFC 6455 section 4.1.
bool ResponseParser::accept_switch() const {
  if (!asked_.upgrade) return false;
  ConnectionNames named;
  int upgrades = 0;
  for (const FieldView& field : fields_) {
    if (iequals(field.name, "connection") && !named.add(field.value)) return false;
    if (iequals(field.name, "transfer-encoding") || iequals(field.name, "content-length")) return false;
    if (!iequals(field.name, "upgrade")) continue;
    if (!iequals(trim(field.value), "websocket")) return false;
    ++upgrades;
  }
  return upgrades == 1 && named.contains("upgrade");
}

// Says no to everything that two readers could frame in two ways (RFC 9112 section 6.3).
bool ResponseParser::accept_framing() const {
  int codings = 0;
  int lengths = 0;
  for (const FieldView& field : fields_) {
    if (iequals(field.name, "content-length")) ++lengths;
    if (!iequals(field.name, "transfer-encoding")) continue;
    ++codings;
    if (!iequals(trim(field.value), "chunked")) return false;
  }
  if (codings > 1 || lengths > 1 || (codings == 1 && lengths == 1)) return false;
  return codings == 0 || parser_.http_minor == 1;
}

bool ResponseParser::build_head() {
  ConnectionNames named;
  for (const FieldView& field : fields_) {
    if (iequals(field.name, "connection") && !named.add(field.value)) return false;
  }
  head_.status = parser_.status_code;
  head_.fields.clear();
  head_.fields.reserve(fields_.size());
  for (const FieldView& field : fields_) {
    if (is_dropped_from_response(field.name) || named.contains(field.name)) continue;
    head_.fields.push_back({std::string(field.name), std::string(trim(field.value))});
  }
  chunked_ = (parser_.flags & F_CHUNKED) != 0;
  const bool has_length = (parser_.flags & F_CONTENT_LENGTH) != 0 && head_.status != 204;
  head_.content_length = has_length ? std::optional<uint64_t>(parser_.content_length) : std::nullopt;
  return true;
}

// Lines that the decoder has checked, each ended by a CR; the last one is empty.
void ResponseParser::read_trailers() {
  std::string_view rest = trailer_text_;
  for (size_t end = rest.find('\r'); end != rest.npos && end > 0; end = rest.find('\r')) {
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    const size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    if (trailers_.size() == kFieldsMax || is_dropped_from_trailers(name)) continue;
    trailers_.push_back({std::string(name), std::string(trim(line.substr(colon + 1)))});
  }
}

void ResponseParser::run_body(std::span<char> bytes, std::string_view& body) {
  input_ = bytes;
  body_at_ = body_bytes_ = 0;
  if (chunked_) {
    run_chunks();
    body = std::string_view(bytes.data() + body_at_, body_bytes_);
    return;
  }
  const llhttp_errno_t error = llhttp_execute(&parser_, bytes.data(), bytes.size());
  body = std::string_view(bytes.data() + body_at_, body_bytes_);
  if (error == HPE_PAUSED && message_complete_) {
    state_ = State::Complete;
    surplus_ = llhttp_get_error_pos(&parser_) != bytes.data() + bytes.size();
  } else if (error != HPE_OK) {
    state_ = State::Invalid;
  }
}

// Chunks are moved together, so that one read becomes one write: always towards the front, over bytes that
// llhttp has read already.
void ResponseParser::add_body(const char* at, size_t size) {
  const auto from = static_cast<size_t>(at - input_.data());
  BG_ASSERT(from + size <= input_.size());
  if (body_bytes_ == 0) body_at_ = from;
  char* to = input_.data() + body_at_ + body_bytes_;
  if (to != at) memmove(to, at, size);
  body_bytes_ += size;
}

// llhttp is too lenient about line ends and trailers to be given chunks.
void ResponseParser::run_chunks() {
  using Kind = http::ChunkDecoder::Step::Kind;
  for (size_t at = 0;;) {
    const http::ChunkDecoder::Step step = chunks_.next(std::string_view(input_.data() + at, input_.size() - at));
    at += step.used;
    switch (step.kind) {
      case Kind::NeedMore:
        return;
      case Kind::Bad:
        state_ = State::Invalid;
        return;
      case Kind::End:
        state_ = State::Complete;
        keep_alive_ = llhttp_should_keep_alive(&parser_) != 0;
        surplus_ = at != input_.size();
        read_trailers();
        return;
      case Kind::Data:
        add_body(step.data.data(), step.data.size());
        chunks_.took(step.data.size());
        at += step.data.size();
    }
  }
}

}  // namespace beamgate::upstream
