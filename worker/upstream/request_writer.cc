#include "worker/upstream/request_writer.h"

#include <cstring>

#include "common/base/bytes.h"
#include "worker/http/client_address.h"
#include "worker/http/forwarded.h"
#include "worker/net/proxy_header.h"
#include "worker/upstream/fields.h"
#include "worker/upstream/proxy_target.h"

namespace beamgate::upstream {
namespace {

void append_field(std::string_view name, std::string_view value, std::string& out) {
  out.append(name);
  out.append(": ");
  append_value(value, out);
  out.append("\r\n");
}

// proxy_set_header must not change how the message is framed: a backend that reads the message otherwise
// than we do answers the wrong request.
bool is_framing(std::string_view name) {
  return iequals(name, "content-length") || iequals(name, "expect") || is_hop_by_hop(name);
}

record::Endpoint client_of(const http::Request& request) {
  record::Endpoint out;
  http::ClientAddress address;
  if (!http::ClientAddress::parse(request.remote_address, address)) return out;
  out.family = static_cast<uint8_t>(address.family);
  out.port = request.remote_port;
  memcpy(out.address, address.bytes, sizeof out.address);
  return out;
}

// Where the client has come to: what was announced, else our end of its connection.
record::Endpoint destination_of(const http::Request& request, const record::Record& record) {
  if (request.announced.destination.family != 0) return request.announced.destination;
  return net::local_endpoint(record.fd);
}

// One head being written: what proxy_set_header says of a name goes before anything else.
class Head {
 public:
  Head(const http::Request& request, const record::Record& record, const config::ProxyAction& proxy,
       std::string& out)
      : request_(request), record_(record), proxy_(proxy), out_(out) {}

  void add_target() {
    out_.append(request_.method);
    out_ += ' ';
    append_target(request_, proxy_, out_);
    out_.append(proxy_.http_minor == 0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
  }

  void add_host() {
    std::string host;
    if (const config::NameValue* set = find_set("host")) http::expand(set->value, request_, record_, host);
    if (host.empty()) host = host_of(request_, proxy_);  // HTTP/1.1 has no request without Host.
    append_field("Host", host.empty() ? "localhost" : host, out_);
  }

  void add_own(std::string_view name, std::string_view value) {
    if (!value.empty() && find_set(name) == nullptr) append_field(name, value, out_);
  }

  // What a trusted peer said, else our own word.
  void add_continued(std::string_view name, std::string_view value) {
    const std::string_view said = request_.trusted_peer ? request_.field(name) : std::string_view();
    add_own(name, said.empty() ? value : said);
  }

  Result<void> add_client_fields() {
    ConnectionNames named;
    for (const http::Field& field : request_.fields) {
      if (field.name.size() == 10 && iequals(field.name, "connection") && !named.add(field.value)) {
        return Error{Code::Invalid, 0, "too many names in Connection"};
      }
    }
    for (const http::Field& field : request_.fields) {
      const bool underscores = request_.server != nullptr && request_.server->underscores_in_headers;
      if (is_dropped_from_request(field.name, request_.trusted_peer, underscores)) continue;
      if (named.contains(field.name) || find_set(field.name) != nullptr) continue;
      append_field(field.name, field.value, out_);
    }
    return {};
  }

  void add_set_fields() {
    for (const config::NameValue& set : proxy_.set_headers) {
      if (iequals(set.name, "host") || is_framing(set.name)) continue;
      value_.clear();
      http::expand(set.value, request_, record_, value_);
      if (!value_.empty()) append_field(set.name, value_, out_);
    }
  }

  RequestWriter::Written add_framing(std::optional<uint64_t> held_bytes) {
    if (!held_bytes.has_value()) held_bytes = request_.content_length;
    if (request_.chunked && !held_bytes.has_value()) {
      out_.append("Transfer-Encoding: chunked\r\n");
    } else if (held_bytes.has_value()) {
      out_.append("Content-Length: ").append(std::to_string(*held_bytes)).append("\r\n");
    }
    RequestWriter::Written written;
    written.keep = upstream_of(request_, proxy_)->keepalive > 0 && proxy_.proxy_protocol == 0 && proxy_.http_minor > 0 && !said_by_set("connection", "close");
    written.upgrade = wants_upgrade();
    const bool trailers = proxy_.pass_trailers && proxy_.http_minor > 0;
    if (trailers) out_.append("TE: trailers\r\n");
    if (written.upgrade) {
      out_.append("Upgrade: websocket\r\nConnection: Upgrade");
    } else if (!written.keep) {
      out_.append("Connection: close");
    } else if (trailers) {
      out_.append("Connection: TE");
    }
    if (trailers && (written.upgrade || !written.keep)) out_.append(", TE");
    if (trailers || written.upgrade || !written.keep) out_.append("\r\n");
    out_.append("\r\n");
    return written;
  }

 private:
  const config::NameValue* find_set(std::string_view name) const {
    for (const config::NameValue& set : proxy_.set_headers) {
      if (iequals(set.name, name)) return &set;
    }
    return nullptr;
  }

  // proxy_set_header gives this field a value with this word among its members.
  bool said_by_set(std::string_view name, std::string_view word) {
    const config::NameValue* set = find_set(name);
    if (set == nullptr) return false;
    value_.clear();
    http::expand(set->value, request_, record_, value_);
    ConnectionNames words;
    return words.add(value_) && words.contains(word);
  }

  bool wants_upgrade() {
    if (!request_.upgrade_websocket || request_.method != "GET" || request_.has_body()) return false;
    if (request_.version_minor == 0 || proxy_.http_minor == 0) return false;
    if (find_set("upgrade") != nullptr && !said_by_set("upgrade", "websocket")) return false;
    return find_set("connection") == nullptr || said_by_set("connection", "upgrade");
  }

  const http::Request& request_;
  const record::Record& record_;
  const config::ProxyAction& proxy_;
  std::string& out_;
  std::string value_;
};

}  // namespace

RequestWriter::RequestWriter() {
  std::string error;
  const bool parsed = config::Template::parse("$scheme", scheme_, error);
  BG_ASSERT(parsed);
}

Result<RequestWriter::Written> RequestWriter::write(const http::Request& request, const record::Record& record,
                                                    const config::ProxyAction& proxy,
                                                    std::optional<uint64_t> held_bytes, std::string& out) const {
  std::string scheme;
  http::expand(scheme_, request, record, scheme);
  if (proxy.proxy_protocol != 0) {
    net::append_proxy_header(proxy.proxy_protocol, client_of(request), destination_of(request, record), out);
  }
  Head head(request, record, proxy, out);
  head.add_target();
  head.add_host();
  head.add_own("X-Real-IP", request.remote_address);
  head.add_own("X-Forwarded-For", http::forwarded_for(request, record));
  head.add_continued("X-Forwarded-Proto", scheme);
  head.add_continued("X-Forwarded-Host", request.field("host"));
  Result<void> added = head.add_client_fields();
  if (!added.ok()) return added.error();
  head.add_set_fields();
  return head.add_framing(held_bytes);
}

}  // namespace beamgate::upstream
