// FastCGI protocol: requests to scripts, for fastcgi_pass.
//
// Says       What fastcgi_param lists, in its order, and each field of the request as HTTP_...; fields of one name
//            are joined, and one that fastcgi_param names is left to it.  $content_length is the length of the body
//            as it is sent, also of one that came in chunks.
// Limits     None of its own: a request's head has been bounded when it was read.
// Source     FastCGI 1.0, in the role of a responder; RFC 3875 section 4.1.
#pragma once

#include "worker/upstream/backend_protocol.h"

namespace beamgate::upstream {

class FastcgiProtocol final : public BackendProtocol {
 public:
  const config::BackendAction& settings(const config::Location& location) const override;
  bool sends_body(const http::Request& request) const override;
  bool needs_length(const http::Request& request) const override { return request.chunked; }
  BodyFraming framing(const http::Request&, bool) const override { return BodyFraming::Stdin; }
  bool may_reuse(const http::Request& request) const override;
  tls::Target target(const http::Request&, const record::Record&) const override { return {}; }
  Result<Written> write_head(const http::Request& request, const record::Record& record,
                             std::optional<uint64_t> held_bytes, std::string& out) const override;
  std::unique_ptr<http::ResponseReader> make_reader(const http::Request& request, bool upgrade) const override;
  void fit_fields(const http::Request& request, const record::Record& record,
                  std::vector<http::ResponseField>& fields) const override;
};

}  // namespace beamgate::upstream
