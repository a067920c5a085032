#include "worker/upstream/http_protocol.h"

#include "worker/upstream/proxy_target.h"
#include "worker/upstream/response_fields.h"
#include "worker/upstream/response_parser.h"

namespace beamgate::upstream {

const config::BackendAction& HttpProtocol::settings(const config::Location& location) const { return location.proxy; }

bool HttpProtocol::sends_body(const http::Request& request) const { return request.has_body(); }

// HTTP/1.0 has no chunks.
bool HttpProtocol::needs_length(const http::Request& request) const {
  return request.chunked && request.location->proxy.http_minor == 0;
}

BodyFraming HttpProtocol::framing(const http::Request& request, bool held) const {
  return request.chunked && !held ? BodyFraming::Chunked : BodyFraming::Plain;
}

bool HttpProtocol::may_reuse(const http::Request& request) const { return request.location->proxy.proxy_protocol == 0; }

tls::Target HttpProtocol::target(const http::Request& request, const record::Record& record) const {
  return tls_target(request, record, request.location->proxy);
}

Result<BackendProtocol::Written> HttpProtocol::write_head(const http::Request& request, const record::Record& record,
                                                          std::optional<uint64_t> held_bytes, std::string& out) const {
  const auto written = writer_.write(request, record, request.location->proxy, held_bytes, out);
  if (!written.ok()) return written.error();
  return Written{written.value().keep, written.value().upgrade};
}

std::unique_ptr<http::ResponseReader> HttpProtocol::make_reader(const http::Request& request, bool upgrade) const {
  return std::make_unique<ResponseParser>(ResponseParser::Asked{
      .head = request.method == "HEAD", .upgrade = upgrade, .trailers = request.location->proxy.pass_trailers});
}

void HttpProtocol::fit_fields(const http::Request& request, const record::Record& record,
                              std::vector<http::ResponseField>& fields) const {
  upstream::fit_fields(request, record, fields);
}

}  // namespace beamgate::upstream
