// HTTP protocol: HTTP/1.x to servers, for proxy_pass.
#pragma once

#include "worker/upstream/backend_protocol.h"
#include "worker/upstream/request_writer.h"

namespace beamgate::upstream {

class HttpProtocol final : public BackendProtocol {
 public:
  const config::BackendAction& settings(const config::Location& location) const override;
  bool sends_body(const http::Request& request) const override;
  bool needs_length(const http::Request& request) const override;
  BodyFraming framing(const http::Request& request, bool held) const override;
  bool may_reuse(const http::Request& request) const override;
  tls::Target target(const http::Request& request, const record::Record& record) const override;
  Result<Written> write_head(const http::Request& request, const record::Record& record,
                             std::optional<uint64_t> held_bytes, std::string& out) const override;
  std::unique_ptr<http::ResponseReader> make_reader(const http::Request& request, bool upgrade) const override;
  void fit_fields(const http::Request& request, const record::Record& record,
                  std::vector<http::ResponseField>& fields) const override;

 private:
  RequestWriter writer_;
};

}  // namespace beamgate::upstream
