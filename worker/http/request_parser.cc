#include "worker/http/request_parser.h"

#include <llhttp.h>

#include <algorithm>

#include "common/base/bytes.h"
#include "worker/http/authority.h"
#include "worker/http/grammar.h"
#include "worker/http/target.h"

namespace beamgate::http {
namespace {

constexpr Verdict bad(const char* reason) {
  return Verdict{400, reason};
}

Request& request_of(llhttp_t* parser) {
  return *static_cast<Request*>(parser->data);
}

// The head is one buffer, so a second span of the same thing continues the first.
void extend(std::string_view& view, const char* at, size_t length) {
  if (view.data() == nullptr) view = {at, 0};
  view = {view.data(), static_cast<size_t>(at + length - view.data())};
}

int on_url(llhttp_t* parser, const char* at, size_t length) noexcept {
  extend(request_of(parser).target, at, length);
  return 0;
}

int on_name(llhttp_t* parser, const char* at, size_t length) noexcept {
  auto& fields = request_of(parser).fields;
  // A value, be it empty, ends the name before it.
  if (fields.empty() || fields.back().value.data() != nullptr) fields.emplace_back();
  extend(fields.back().name, at, length);
  return 0;
}

int on_value(llhttp_t* parser, const char* at, size_t length) noexcept {
  extend(request_of(parser).fields.back().value, at, length);
  return 0;
}

int on_value_complete(llhttp_t* parser) noexcept {
  std::string_view& value = request_of(parser).fields.back().value;
  if (value.data() == nullptr) value = "";
  return 0;
}

// What follows the head is not for llhttp.
int on_head_complete(llhttp_t*) noexcept {
  return HPE_PAUSED;
}

const llhttp_settings_t& settings() {
  static const llhttp_settings_t kSettings = [] {
    llhttp_settings_t made;
    llhttp_settings_init(&made);
    made.on_url = on_url;
    made.on_header_field = on_name;
    made.on_header_value = on_value;
    made.on_header_value_complete = on_value_complete;
    made.on_headers_complete = on_head_complete;
    return made;
  }();
  return kSettings;
}

struct RequestLine {
  std::string_view method;
  std::string_view version;
};

// "METHOD SP target SP HTTP/d.d", exactly.
bool split_request_line(std::string_view head, RequestLine& out) {
  const std::string_view line = head.substr(0, head.find('\r'));
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == line.npos || first == last || line.find(' ', first + 1) != last) return false;
  out.method = line.substr(0, first);
  out.version = line.substr(last + 1);
  return is_token(out.method) && out.version.size() == 8 && out.version.substr(0, 5) == "HTTP/" &&
         is_digit(out.version[5]) && out.version[6] == '.' && is_digit(out.version[7]);
}

// As nginx takes them: what the origin makes of one that is not known here is its own business (RFC 9110 section 9.1).
bool is_method(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'A' && c <= 'Z') || c == '-' || c == '_'; });
}

Verdict check_request_line(std::string_view head, Request& request) {
  RequestLine line;
  if (!split_request_line(head, line)) return bad("malformed request line");
  if (line.version != "HTTP/1.1" && line.version != "HTTP/1.0") return Verdict{505, "unsupported version"};
  request.method = line.method;
  request.version_minor = line.version[7] - '0';
  if (line.method == "CONNECT") return Verdict{501, "no tunnels are made"};
  if (!is_method(line.method)) return Verdict{501, "unknown method"};
  return {};
}

Verdict verdict_of(llhttp_errno_t error) {
  switch (error) {
    case HPE_PAUSED:
      return {};
    // The next check knows these more exactly.
    case HPE_INVALID_TRANSFER_ENCODING:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_CONTENT_LENGTH:
      return {};
    default:
      return bad("malformed head");
  }
}

Verdict check_fields(uint32_t field_lines, Request& request) {
  if (request.fields.size() != field_lines) return bad("fields and lines differ");
  for (Field& field : request.fields) {
    field.value = trim(field.value);
    if (!is_token(field.name)) return bad("malformed field name");
    if (!is_field_value(field.value)) return bad("malformed field value");
  }
  return {};
}

// RFC 9112 section 6.3, its MAYs decided for safety: no list, no repetition, never both fields.
Verdict check_framing(Request& request) {
  const Field* length = nullptr;
  const Field* coding = nullptr;
  for (const Field& field : request.fields) {
    if (iequals(field.name, "content-length")) {
      if (length != nullptr) return bad("repeated Content-Length");
      length = &field;
    } else if (iequals(field.name, "transfer-encoding")) {
      if (coding != nullptr) return bad("repeated Transfer-Encoding");
      coding = &field;
    }
  }
  if (length != nullptr && coding != nullptr) return bad("both Content-Length and Transfer-Encoding");
  if (length != nullptr) {
    uint64_t bytes = 0;
    // 18 digits: a length that any reader can hold in a signed 64-bit integer.
    if (length->value.size() > 18 || !parse_decimal(length->value, bytes))
      return bad("malformed Content-Length");
    request.content_length = bytes;
  }
  if (coding != nullptr) {
    if (request.version_minor == 0) return bad("Transfer-Encoding in HTTP/1.0");
    if (!is_token(coding->value)) return bad("malformed Transfer-Encoding");
    if (!iequals(coding->value, "chunked")) return Verdict{501, "unknown transfer coding"};
    request.chunked = true;
  }
  return {};
}

void read_connection_fields(Request& request, Verdict& verdict) {
  bool close = false;
  bool keep = false;
  bool upgrade = false;
  bool websocket = false;
  for (const Field& field : request.fields) {
    if (iequals(field.name, "connection")) {
      close |= list_contains(field.value, "close");
      keep |= list_contains(field.value, "keep-alive");
      upgrade |= list_contains(field.value, "upgrade");
    } else if (iequals(field.name, "upgrade")) {
      websocket |= list_contains(field.value, "websocket");
    } else if (iequals(field.name, "expect") && request.version_minor > 0) {
      if (!iequals(field.value, "100-continue")) verdict = Verdict{417, "unknown expectation"};
      request.expect_continue = true;
    }
  }
  request.keep_alive = !close && (request.version_minor > 0 || keep);
  request.upgrade_websocket = upgrade && websocket && request.version_minor > 0;
}

// Whom it is for: the target's authority, else Host, exactly one of which HTTP/1.1 demands.  Where both are there, Host
// is made what the target says, so that nobody behind us can see it differently (RFC 9112 section 3.2.2).
Verdict check_host(std::string_view authority_of_target, Request& request) {
  Field* host = nullptr;
  for (Field& field : request.fields) {
    if (!iequals(field.name, "host")) continue;
    if (host != nullptr) return bad("repeated Host");
    host = &field;
  }
  if (host == nullptr && request.version_minor > 0) return bad("no Host");
  Authority authority;
  if (host != nullptr) {
    if (!parse_authority(host->value, authority)) return bad("malformed Host");
    request.host = authority.host;
  }
  if (!authority_of_target.empty()) {
    if (!parse_authority(authority_of_target, authority)) return bad("malformed authority");
    request.host = authority.host;
    if (host == nullptr) host = &request.fields.emplace_back(Field{"Host", {}});
    host->value = authority_of_target;
  }
  return {};
}

Verdict check_target(Request& request) {
  Target target;
  const uint16_t status = split_target(request.method, request.target, target);
  if (status != 0) return Verdict{status, "malformed target"};
  request.query = target.query;
  if (const Verdict host = check_host(target.authority, request); !host.good()) return host;
  if (target.path == "*") {
    request.path = "*";
    return {};
  }
  return normalise_path(target.path, request.path) ? Verdict{} : bad("malformed path");
}

}  // namespace

void reset(Request& request) {
  auto fields = std::move(request.fields);
  auto path = std::move(request.path);
  auto captures = std::move(request.captures);
  Trace trace = std::move(request.trace);
  request = Request{};
  trace.clear();
  fields.clear();
  path.clear();
  captures.clear();
  request.fields = std::move(fields);
  request.path = std::move(path);
  request.captures = std::move(captures);
  request.trace = std::move(trace);
}

std::string_view first_line(std::string_view head) {
  if (head.starts_with("\r\n")) head.remove_prefix(2);  // HeadScan forgives one empty line.
  std::string_view line = head.substr(0, std::min(head.find('\n'), kRefusedLineBytesMax));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

Verdict parse_request_head(std::string_view head, uint32_t field_lines, Request& request) {
  reset(request);
  if (const Verdict line = check_request_line(head, request); !line.good()) return line;
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &settings());
  parser.data = &request;
  // It knows some methods only, and none of them changes how the rest is read.
  constexpr std::string_view kAny = "GET";
  llhttp_errno_t error = llhttp_execute(&parser, kAny.data(), kAny.size());
  const std::string_view rest = head.substr(request.method.size());
  if (error == HPE_OK) error = llhttp_execute(&parser, rest.data(), rest.size());
  if (const Verdict grammar = verdict_of(error); !grammar.good()) return grammar;
  if (const Verdict fields = check_fields(field_lines, request); !fields.good()) return fields;
  if (const Verdict framing = check_framing(request); !framing.good()) return framing;
  // Whatever llhttp objects to and the rules above would let pass is refused all the same.
  if (error != HPE_PAUSED) return bad("malformed framing");
  Verdict verdict;
  read_connection_fields(request, verdict);
  if (!verdict.good()) return verdict;
  return check_target(request);
}

}  // namespace beamgate::http
