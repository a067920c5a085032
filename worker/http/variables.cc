#include "worker/http/variables.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "common/tls/negotiated.h"
#include "common/version.h"
#include "worker/http/client_address.h"
#include "worker/http/document.h"
#include "worker/http/forwarded.h"
#include "worker/net/proxy_header.h"
#include "worker/record/uid.h"

namespace beamgate::http {
namespace {

using Scope = VariableScope;

void append_time(const char* format, std::string& out) {
  const time_t now = static_cast<time_t>(wall_ms() / 1'000);
  tm parts{};
  localtime_r(&now, &parts);
  char text[64];
  out.append(text, strftime(text, sizeof text, format, &parts));
}

// ISO 8601 wants a colon in the offset, strftime gives none.
void append_time_iso8601(std::string& out) {
  append_time("%Y-%m-%dT%H:%M:%S%z", out);
  out.insert(out.size() - 2, ":");
}

void append_seconds(int64_t ms, std::string& out) {
  char text[32];
  out.append(text,
             static_cast<size_t>(snprintf(text, sizeof text, "%lld.%03d", static_cast<long long>(ms / 1'000),
                                          static_cast<int>(ms % 1'000))));
}

const config::Listen* listen_of(const Scope& scope) {
  if (scope.request.server == nullptr) return nullptr;
  for (const config::Listen& listen : scope.request.server->listens) {
    if (listen.id == scope.record.listen_id) return &listen;
  }
  return nullptr;
}

// Where the client has come to: our end of its connection, or what "listen" says where that is no Internet address.
void append_listen(const Scope& scope, bool port, std::string& out) {
  const record::Endpoint local = net::local_endpoint(scope.record.fd);
  if (local.family == AF_INET || local.family == AF_INET6) {
    out += port ? std::to_string(local.port) : net::address_text(local);
    return;
  }
  const config::Listen* listen = listen_of(scope);
  if (listen == nullptr) return;
  const std::string_view text = listen->address.text;
  const size_t colon = text.rfind(':');
  if (text.starts_with("unix:") || colon == text.npos) {
    if (!port) out += text;
  } else {
    out += port ? text.substr(colon + 1) : text.substr(0, colon);
  }
}

void append_host(const Scope& scope, std::string& out) {
  if (!scope.request.host.empty()) {
    out += scope.request.host;
  } else if (scope.request.server != nullptr && !scope.request.server->names.empty()) {
    out += scope.request.server->names[0];
  }
}

void append_server_name(const Scope& scope, std::string& out) {
  if (scope.request.server != nullptr && !scope.request.server->names.empty())
    out += scope.request.server->names[0];
}

// The user of "Authorization: Basic".
void append_remote_user(const Scope& scope, std::string& out) {
  const std::string_view value = scope.request.field("authorization");
  if (value.size() < 6 || !iequals(value.substr(0, 6), "basic ")) return;
  const auto decoded = crypto::base64_decode(trim(value.substr(6)));
  if (decoded.has_value()) out += decoded->substr(0, decoded->find(':'));
}

// nginx's: four or sixteen bytes, to be a short key.
void append_binary_address(const Scope& scope, std::string& out) {
  ClientAddress address;
  if (!ClientAddress::parse(scope.request.remote_address, address)) {
    out += scope.request.remote_address;
  } else {
    out.append(reinterpret_cast<const char*>(address.bytes), address.family == AF_INET ? 4 : 16);
  }
}

void append_port(uint16_t port, std::string& out) {
  if (port != 0) out += std::to_string(port);
}

void append_request_id(const Scope& scope, std::string& out) {
  std::string& id = scope.request.request_id;
  if (id.empty()) {
    const uint64_t words[] = {crypto::random_u64(), crypto::random_u64()};
    id = to_hex({reinterpret_cast<const char*>(words), sizeof words});
  }
  out += id;
}

// Of proxy_pass: what the default Host says, and its port.
void append_proxy_authority(const Scope& scope, bool port, std::string& out) {
  if (scope.request.location == nullptr || scope.request.location->action != config::Action::Proxy) return;
  const ProxyDestination* varied = scope.request.trace.destination.get();
  const std::string_view host = varied != nullptr ? varied->host : scope.request.location->proxy.host;
  const size_t colon = host.rfind(':');
  const bool named = colon != host.npos && host.find(']', colon) == host.npos;
  if (!port) {
    out += host;
  } else {
    out += named ? host.substr(colon + 1) : "80";
  }
}

// Of the socket, whoever has been announced on it.
record::Endpoint socket_peer(const Scope& scope) {
  if (scope.request.announced.present != 0) return scope.request.announced.peer;
  record::Endpoint out;
  out.family = scope.record.peer_family;
  out.port = scope.record.peer_port;
  std::copy(std::begin(scope.record.peer_address), std::end(scope.record.peer_address), out.address);
  return out;
}

void append_cookie(const Scope& scope, std::string_view name, std::string& out) {
  for (const Field& field : scope.request.fields) {
    if (!iequals(field.name, "cookie")) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(';'), rest.size());
      const std::string_view pair = trim(rest.substr(0, end));
      const size_t equals = pair.find('=');
      if (equals != pair.npos && pair.substr(0, equals) == name) {
        out += pair.substr(equals + 1);
        return;
      }
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
}

// The raw value of an argument, as nginx gives it.
void append_argument(const Scope& scope, std::string_view name, std::string& out) {
  std::string_view rest = scope.request.query;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const size_t equals = pair.find('=');
    if (equals != pair.npos && iequals(pair.substr(0, equals), name)) {
      out += pair.substr(equals + 1);
      return;
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

// $http_user_agent: the name in lower case with "-" as "_".  A field whose own name has "_" is none of them unless
// underscores_in_headers says so: X_Forwarded_For must not pass for X-Forwarded-For.
bool is_field_of(std::string_view variable, std::string_view field, bool underscores) {
  return variable.size() == field.size() &&
         std::equal(variable.begin(), variable.end(), field.begin(), [underscores](char wanted, char c) {
           if (c == '-') return wanted == '_';
           return (c != '_' || underscores) && wanted == (c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c);
         });
}

template <typename Fields>
void append_fields(const Fields& fields, std::string_view name, bool underscores, std::string& out) {
  const char* separator = "";
  for (const auto& field : fields) {
    if (!is_field_of(name, field.name, underscores)) continue;
    out += separator;
    out += field.value;
    separator = ", ";
  }
}

// The location's captures come behind those of the server's name.
bool append_capture(const Scope& scope, std::string_view name, std::string& out) {
  const auto& captures = scope.request.captures;
  const auto found = std::find_if(captures.rbegin(), captures.rend(),
                                  [name](const auto& capture) { return capture.first == name; });
  if (found == captures.rend()) return false;
  out += found->second;
  return true;
}

bool append_mapped(const Scope& scope, std::string_view name, std::string& out) {
  if (scope.request.config == nullptr) return false;
  const auto& maps = scope.request.config->http.maps;
  const auto found = maps.find(name);
  if (found == maps.end()) return false;
  const config::ValueMap& map = *found->second;
  std::string text;
  expand(map.source, scope, text);
  config::Captures groups;
  for (const config::Template::Part& part : map.find(text, groups).parts()) {
    std::string_view group;
    if (!part.variable) {
      out += part.text;
    } else if (groups.find(part.text, group)) {
      out += group;
    } else {
      append_variable(part.text, scope, out);
    }
  }
  return true;
}

bool append_family(std::string_view name, const Scope& scope, std::string& out) {
  if (name.starts_with("http_")) {
    const bool underscores = scope.request.server != nullptr && scope.request.server->underscores_in_headers;
    append_fields(scope.request.fields, name.substr(5), underscores, out);
  } else if (name.starts_with("arg_")) {
    append_argument(scope, name.substr(4), out);
  } else if (name.starts_with("cookie_")) {
    append_cookie(scope, name.substr(7), out);
  } else if (name.starts_with("sent_http_")) {
    append_fields(scope.request.trace.sent_fields, name.substr(10), true, out);
  } else if (name.starts_with("upstream_http_")) {
    append_fields(scope.request.trace.upstream_fields, name.substr(14), true, out);
  } else {
    return false;
  }
  return true;
}

// URL-encoded PEM, for a field's value; nginx's set of bytes that stay.
void append_escaped(std::string_view text, std::string& out) {
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', "0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]};
    }
  }
}

// A PEM as the lines of one field: each but the first begins with a tab.
void append_folded(std::string_view pem, std::string& out) {
  while (pem.ends_with('\n')) pem.remove_suffix(1);
  for (const char c : pem) {
    out += c;
    if (c == '\n') out += '\t';
  }
}

// What the connection's TLS session says; nothing on a plain connection.
template <auto get>
void append_tls(const Scope& scope, std::string& out) {
  if (scope.request.tls != nullptr) out += (scope.request.tls->*get)();
}

// What the request names in the location's files.
template <void (*append)(const config::Location&, std::string_view path, std::string& out)>
void append_document(const Scope& scope, std::string& out) {
  if (scope.request.location != nullptr) append(*scope.request.location, scope.request.path, out);
}

// A value of each attempt, separated as in nginx: those of one location by commas.  "-": there is none.
template <bool (*append)(const UpstreamAttempt&, std::string&)>
void append_attempts(const Scope& scope, std::string& out) {
  bool first = true;
  for (const UpstreamAttempt& attempt : scope.request.trace.attempts) {
    if (!first) out += attempt.elsewhere ? " : " : ", ";
    first = false;
    if (!append(attempt, out)) out += '-';
  }
}

bool append_server(const UpstreamAttempt& attempt, std::string& out) {
  out += attempt.server;
  return true;
}

bool append_attempt_status(const UpstreamAttempt& attempt, std::string& out) {
  if (attempt.status != 0) out += std::to_string(attempt.status);
  return attempt.status != 0;
}

template <uint64_t UpstreamProgress::* kBytes>
bool append_attempt_bytes(const UpstreamAttempt& attempt, std::string& out) {
  out += std::to_string(attempt.*kBytes);
  return true;
}

bool append_attempt_time(const UpstreamAttempt& attempt, int64_t until_ms, std::string& out) {
  if (until_ms != 0) append_seconds(until_ms - attempt.began_ms, out);
  return until_ms != 0;
}

template <int64_t UpstreamProgress::* kUntil>
bool append_attempt_time(const UpstreamAttempt& attempt, std::string& out) {
  return append_attempt_time(attempt, attempt.*kUntil, out);
}

// Of one that has not ended: so far.
bool append_attempt_duration(const UpstreamAttempt& attempt, std::string& out) {
  return append_attempt_time(attempt, attempt.ended_ms != 0 ? attempt.ended_ms : monotonic_ms(), out);
}

using Negotiated = tls::Negotiated;
using Append = void (*)(const Scope&, std::string&);

struct Row {
  std::string_view name;
  Append append;
};

std::string hostname() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

const char* protocol_of(const Request& request) {
  if (request.http2) return "HTTP/2.0";
  return request.version_minor == 0 ? "HTTP/1.0" : "HTTP/1.1";
}

// One row per variable, sorted by name.
constexpr Row kRows[] = {
    {"args", [](const Scope& s, std::string& out) { out += s.request.query; }},
    {"binary_remote_addr", append_binary_address},
    {"body_bytes_sent",
     [](const Scope& s, std::string& out) {
       if (s.outcome != nullptr) out += std::to_string(s.outcome->body_bytes_sent);
     }},
    {"bytes_sent",
     [](const Scope& s, std::string& out) {
       if (s.outcome != nullptr) out += std::to_string(s.outcome->bytes_sent);
     }},
    {"connection", [](const Scope& s, std::string& out) { out += std::to_string(s.record.uid); }},
    {"connection_id", [](const Scope& s, std::string& out) { out += record::format_uid(s.record.uid); }},
    {"connection_requests",
     [](const Scope& s, std::string& out) { out += std::to_string(s.record.keepalive_count); }},
    {"content_length", [](const Scope& s, std::string& out) { out += s.request.field("content-length"); }},
    {"content_type", [](const Scope& s, std::string& out) { out += s.request.field("content-type"); }},
    {"document_root", append_document<append_document_root>},
    {"document_uri", [](const Scope& s, std::string& out) { out += s.request.path; }},
    {"fastcgi_path_info", append_document<append_path_info>},
    {"fastcgi_script_name", append_document<append_script_name>},
    {"host", append_host},
    {"hostname", [](const Scope&, std::string& out) { out += hostname(); }},
    {"http2",
     [](const Scope& s, std::string& out) {
       if (s.request.http2) out += s.request.tls != nullptr ? "h2" : "h2c";
     }},
    {"https", [](const Scope& s, std::string& out) { out += s.request.tls != nullptr ? "on" : ""; }},
    {"is_args", [](const Scope& s, std::string& out) { out += s.request.query.empty() ? "" : "?"; }},
    {"limit_conn_status", [](const Scope& s, std::string& out) { out += s.request.limit_conn_status; }},
    {"limit_req_status", [](const Scope& s, std::string& out) { out += s.request.limit_req_status; }},
    {"msec", [](const Scope&, std::string& out) { append_seconds(wall_ms(), out); }},
    {"nginx_version", [](const Scope&, std::string& out) { out += BEAMGATE_VERSION; }},
    {"pid", [](const Scope&, std::string& out) { out += std::to_string(getpid()); }},
    {"proxy_add_forwarded",
     [](const Scope& s, std::string& out) { out += forwarded(s.request, s.record, s.request.tls != nullptr ? "https" : "http"); }},
    {"proxy_add_x_forwarded_for",
     [](const Scope& s, std::string& out) { out += forwarded_for(s.request, s.record); }},
    {"proxy_host", [](const Scope& s, std::string& out) { append_proxy_authority(s, false, out); }},
    {"proxy_port", [](const Scope& s, std::string& out) { append_proxy_authority(s, true, out); }},
    {"proxy_protocol_addr",
     [](const Scope& s, std::string& out) { out += net::address_text(s.request.announced.source); }},
    {"proxy_protocol_port",
     [](const Scope& s, std::string& out) { append_port(s.request.announced.source.port, out); }},
    {"proxy_protocol_server_addr",
     [](const Scope& s, std::string& out) { out += net::address_text(s.request.announced.destination); }},
    {"proxy_protocol_server_port",
     [](const Scope& s, std::string& out) { append_port(s.request.announced.destination.port, out); }},
    {"query_string", [](const Scope& s, std::string& out) { out += s.request.query; }},
    {"realip_remote_addr",
     [](const Scope& s, std::string& out) { out += net::address_text(socket_peer(s)); }},
    {"realip_remote_port", [](const Scope& s, std::string& out) { append_port(socket_peer(s).port, out); }},
    {"realpath_root", append_document<append_real_root>},
    {"remote_addr", [](const Scope& s, std::string& out) { out += s.request.remote_address; }},
    {"remote_port", [](const Scope& s, std::string& out) { append_port(s.request.remote_port, out); }},
    {"remote_user", append_remote_user},
    {"request", [](const Scope& s, std::string& out) { append_request_line(s.request, out); }},
    {"request_filename", append_document<append_request_filename>},
    {"request_id", append_request_id},
    {"request_length",
     [](const Scope& s, std::string& out) {
       if (s.outcome != nullptr) out += std::to_string(s.outcome->request_bytes);
     }},
    {"request_method", [](const Scope& s, std::string& out) { out += s.request.method; }},
    {"request_time",
     [](const Scope& s, std::string& out) {
       if (s.outcome != nullptr) append_seconds(s.outcome->duration_us / 1'000, out);
     }},
    {"request_uri", [](const Scope& s, std::string& out) { out += s.request.target; }},
    {"scheme", [](const Scope& s, std::string& out) { out += s.request.tls != nullptr ? "https" : "http"; }},
    {"server_addr", [](const Scope& s, std::string& out) { append_listen(s, false, out); }},
    {"server_name", append_server_name},
    {"server_port", [](const Scope& s, std::string& out) { append_listen(s, true, out); }},
    {"server_protocol",
     [](const Scope& s, std::string& out) {
       if (!s.request.method.empty()) out += protocol_of(s.request);
     }},
    {"ssl_cipher", append_tls<&Negotiated::cipher>},
    {"ssl_client_cert",
     [](const Scope& s, std::string& out) {
       if (s.request.tls != nullptr) append_folded(s.request.tls->client_certificate(), out);
     }},
    {"ssl_client_escaped_cert",
     [](const Scope& s, std::string& out) {
       if (s.request.tls != nullptr) append_escaped(s.request.tls->client_certificate(), out);
     }},
    {"ssl_client_fingerprint", append_tls<&Negotiated::client_fingerprint>},
    {"ssl_client_i_dn", append_tls<&Negotiated::client_issuer>},
    {"ssl_client_raw_cert", append_tls<&Negotiated::client_certificate>},
    {"ssl_client_s_dn", append_tls<&Negotiated::client_subject>},
    {"ssl_client_serial", append_tls<&Negotiated::client_serial>},
    {"ssl_client_verify", append_tls<&Negotiated::client_verify>},
    {"ssl_protocol", append_tls<&Negotiated::protocol>},
    {"ssl_server_name", append_tls<&Negotiated::server_name>},
    {"ssl_session_reused",
     [](const Scope& s, std::string& out) {
       if (s.request.tls != nullptr) out += s.request.tls->resumed() ? "r" : ".";
     }},
    {"status",
     [](const Scope& s, std::string& out) {
       if (s.outcome != nullptr) out += std::to_string(s.outcome->status);
     }},
    {"time_iso8601", [](const Scope&, std::string& out) { append_time_iso8601(out); }},
    {"time_local", [](const Scope&, std::string& out) { append_time("%d/%b/%Y:%H:%M:%S %z", out); }},
    {"upstream_addr", append_attempts<append_server>},
    {"upstream_bytes_received", append_attempts<append_attempt_bytes<&UpstreamProgress::bytes_received>>},
    {"upstream_bytes_sent", append_attempts<append_attempt_bytes<&UpstreamProgress::bytes_sent>>},
    {"upstream_connect_time", append_attempts<append_attempt_time<&UpstreamProgress::connected_ms>>},
    {"upstream_header_time", append_attempts<append_attempt_time<&UpstreamProgress::head_ms>>},
    {"upstream_response_length", append_attempts<append_attempt_bytes<&UpstreamProgress::body_bytes>>},
    {"upstream_response_time", append_attempts<append_attempt_duration>},
    {"upstream_status", append_attempts<append_attempt_status>},
    {"uri", [](const Scope& s, std::string& out) { out += s.request.path; }},
};
static_assert(std::is_sorted(std::begin(kRows), std::end(kRows),
                             [](const Row& a, const Row& b) { return a.name < b.name; }));

}  // namespace

void append_request_line(const Request& request, std::string& out) {
  if (!request.refused_line.empty()) {
    out += request.refused_line;
    return;
  }
  if (request.method.empty()) return;
  out += request.method;
  out += ' ';
  out += request.target;
  (out += ' ') += protocol_of(request);
}

std::vector<std::string_view> given_variables() {
  std::vector<std::string_view> names;
  for (const Row& row : kRows) names.push_back(row.name);
  return names;
}

void append_variable(std::string_view name, const VariableScope& scope, std::string& out) {
  const auto row = std::lower_bound(std::begin(kRows), std::end(kRows), name,
                                    [](const Row& a, std::string_view wanted) { return a.name < wanted; });
  if (row != std::end(kRows) && row->name == name) return row->append(scope, out);
  if (append_capture(scope, name, out) || append_mapped(scope, name, out)) return;
  static_cast<void>(append_family(name, scope, out));
}

void expand(const config::Template& text, const Request& request, const record::Record& record,
            std::string& out) {
  expand(text, {request, record}, out);
}

void expand(const config::Template& text, const VariableScope& scope, std::string& out) {
  for (const config::Template::Part& part : text.parts()) {
    if (part.variable) {
      append_variable(part.text, scope, out);
    } else {
      out += part.text;
    }
  }
}

}  // namespace beamgate::http
