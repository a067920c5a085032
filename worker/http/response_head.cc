#include "worker/http/response_head.h"

#include <charconv>

#include "common/base/bytes.h"
#include "worker/http/grammar.h"
#include "worker/http/status.h"

namespace beamgate::http {
namespace {

void append_number(uint64_t number, int base, std::string& out) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number, base).ptr;
  out.append(digits, end);
}

void append_status_line(uint16_t status, std::string& out) {
  out += "HTTP/1.1 ";
  append_number(status, 10, out);
  out += ' ';
  out += reason_phrase(status);
  out += "\r\n";
}

// Written by this file alone.
bool is_ours(std::string_view name) {
  for (const char* ours : {"content-length", "transfer-encoding", "connection", "keep-alive"}) {
    if (iequals(name, ours)) return true;
  }
  return false;
}

bool has_field(const ResponseHead& head, std::string_view name) {
  for (const ResponseField& field : head.fields) {
    if (field.name.size() == name.size() && iequals(field.name, name)) return true;
  }
  return false;
}

}  // namespace

FramingChoice choose_framing(const ResponseHead& head, const ResponseContext& context) {
  FramingChoice choice;
  choice.keep_alive = context.keep_alive;
  if (context.method == "HEAD" || !status_has_body(head.status)) {
    choice.framing = Framing::NoBody;
  } else if (head.content_length.has_value()) {
    choice.framing = Framing::Length;
  } else if (context.version_minor > 0) {
    choice.framing = Framing::Chunked;
  } else {
    choice.framing = Framing::UntilClose;
    choice.keep_alive = false;
  }
  return choice;
}

void write_field(std::string_view name, std::string_view value, std::string& out) {
  if (!is_token(name)) return;
  out += name;
  out += ": ";
  const size_t from = out.size();
  out += value;
  for (size_t at = from; at < out.size(); ++at) {
    if (!is_value_char(out[at])) out[at] = ' ';
  }
  out += "\r\n";
}

void write_response_head(const ResponseHead& head, const FramingChoice& choice,
                         const ResponseContext& context, std::string& out) {
  append_status_line(head.status, out);
  if (!has_field(head, "server")) write_field("Server", context.server, out);
  if (!has_field(head, "date")) write_field("Date", context.date, out);
  for (const ResponseField& field : head.fields) {
    if (!is_ours(field.name)) write_field(field.name, field.value, out);
  }
  // HEAD and 304 may say how long the body would be; 204 and 1xx must not.
  const bool may_have_length = head.status == 304 || status_has_body(head.status);
  if (choice.framing == Framing::Chunked) {
    out += "Transfer-Encoding: chunked\r\n";
  } else if (head.content_length.has_value() && may_have_length) {
    out += "Content-Length: ";
    append_number(*head.content_length, 10, out);
    out += "\r\n";
  }
  if (!choice.keep_alive) {
    out += "Connection: close\r\n";
  } else if (context.version_minor == 0 || context.keep_alive_s > 0) {
    out += "Connection: keep-alive\r\n";
  }
  if (choice.keep_alive && context.keep_alive_s > 0) {
    out += "Keep-Alive: timeout=";
    append_number(static_cast<uint64_t>(context.keep_alive_s), 10, out);
    out += "\r\n";
  }
  out += "\r\n";
}

void write_interim_head(uint16_t status, const std::vector<ResponseField>& fields, std::string& out) {
  append_status_line(status, out);
  for (const ResponseField& field : fields) {
    if (!is_ours(field.name)) write_field(field.name, field.value, out);
  }
  out += "\r\n";
}

void write_switching_head(const std::vector<ResponseField>& fields, std::string_view server,
                          std::string& out) {
  append_status_line(101, out);
  write_field("Server", server, out);
  for (const ResponseField& field : fields) write_field(field.name, field.value, out);
  out += "\r\n";
}

void write_chunk_size(size_t bytes, std::string& out) {
  append_number(bytes, 16, out);
  out += "\r\n";
}

}  // namespace beamgate::http
