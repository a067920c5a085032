#include "worker/proto/handshake_text.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/tls/negotiated.h"
#include "worker/http/grammar.h"
#include "worker/http/target.h"
#include "worker/record/text_block.h"

namespace beamgate::proto {
namespace {

// What a call has fields of its own for, and what belongs to the client's connection only.
constexpr std::string_view kNever[] = {"accept",        "connection", "content-encoding", "content-length",
                                       "content-type",  "expect",     "host",             "keep-alive",
                                       "proxy-connection", "te",      "trailer",          "transfer-encoding",
                                       "upgrade"};
constexpr std::string_view kReserved[] = {"beamgate-", "ce-", "webhook-"};

bool may_be_forwarded(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  const auto reserved = [&](std::string_view prefix) { return name.starts_with(prefix); };
  return std::none_of(std::begin(kReserved), std::end(kReserved), reserved) &&
         std::find(std::begin(kNever), std::end(kNever), name) == std::end(kNever);
}

}  // namespace

std::string encode_handshake(const HandshakeText& text) {
  if (text.publish_channel.empty() && text.forward_fields.empty() && text.session.empty()) return {};
  return std::string(text.publish_channel).append(1, '\n').append(text.session).append(1, '\n').append(text.forward_fields);
}

HandshakeText decode_handshake(std::string_view text) {
  const size_t end = text.find('\n');
  const size_t next = end == text.npos ? text.npos : text.find('\n', end + 1);
  if (next == text.npos) return {};
  return {text.substr(0, end), text.substr(end + 1, next - end - 1), text.substr(next + 1)};
}

std::string_view session_of(const record::Arena& arena, const record::Record& record) {
  return decode_handshake(record::text_of(arena, record.handshake)).session;
}

bool set_session(record::Arena& arena, record::Record& record, std::string_view session) {
  HandshakeText text = decode_handshake(record::text_of(arena, record.handshake));
  text.session = session;
  record::touch(arena, record);
  return record::assign_text(arena, record.handshake, encode_handshake(text));
}

std::string forwarded_fields(const std::vector<http::Field>& fields, const std::vector<std::string>& listed) {
  std::string out;
  for (const http::Field& field : fields) {
    const std::string name = to_lower(field.name);
    if (std::find(listed.begin(), listed.end(), name) == listed.end()) continue;
    if (!may_be_forwarded(name) || !http::is_field_value(field.value)) continue;
    out.append(name).append(": ").append(field.value).append("\r\n");
  }
  return out;
}

std::string address_fields(const http::Request& request) {
  std::string out = "beamgate-address: " + request.remote_address + "\r\n";
  if (!request.host.empty()) out += "beamgate-host: " + request.host + "\r\n";
  return out;
}

std::string kept_fields(const http::Request& request, const config::Webhook& webhook) {
  return forwarded_fields(request.fields, webhook.forward_headers) + certificate_fields(request.tls) +
         (webhook.grip ? uri_field(request) : std::string());
}

std::string uri_field(const http::Request& request) {
  http::Target target;
  if (http::split_target(request.method, request.target, target) != 0) return {};
  std::string uri(target.path);
  if (!target.query.empty()) uri.append(1, '?').append(target.query);
  std::string out = "beamgate-uri: ";
  for (const char c : uri) {
    if (c > 0x20 && c < 0x7f && c != '#') {
      out += c;
    } else {
      out.append(1, '%').append(to_hex({&c, 1}));
    }
  }
  return out += "\r\n";
}

std::string certificate_fields(const tls::Negotiated* tls) {
  if (tls == nullptr || tls->verify() == tls::Verify::Off) return {};
  std::string out;
  const auto add = [&out](std::string_view name, const std::string& value) {
    if (!value.empty() && http::is_field_value(value)) out.append(name).append(": ").append(value).append("\r\n");
  };
  add("beamgate-client-verify", tls->client_verify());
  add("beamgate-client-subject", tls->client_subject());
  add("beamgate-client-issuer", tls->client_issuer());
  add("beamgate-client-serial", tls->client_serial());
  add("beamgate-client-fingerprint", tls->client_fingerprint());
  return out;
}

}  // namespace beamgate::proto
