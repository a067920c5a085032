// Backend protocol: what a request to a server and its response look like; all else of an exchange is the same.
//
// Owner      ProxyHandler has one of each; they keep nothing of a request.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/config/model.h"
#include "common/tls/client_session.h"
#include "worker/http/exchange.h"
#include "worker/http/response_reader.h"
#include "worker/record/record.h"
#include "worker/upstream/request_buffer.h"

namespace beamgate::upstream {

class BackendProtocol {
 public:
  struct Written {
    bool keep = false;     // The connection may be kept afterwards.
    bool upgrade = false;  // It asks for a WebSocket.
  };

  virtual ~BackendProtocol() = default;

  virtual const config::BackendAction& settings(const config::Location& location) const = 0;

  // The request's body is for the server.
  virtual bool sends_body(const http::Request& request) const = 0;
  // Its length has to be known before anything is sent, whatever is configured.
  virtual bool needs_length(const http::Request& request) const = 0;
  // held: it is read as a whole first.
  virtual BodyFraming framing(const http::Request& request, bool held) const = 0;

  // Whether a connection of an earlier request may be used, and how a new one is secured.
  virtual bool may_reuse(const http::Request& request) const = 0;
  virtual tls::Target target(const http::Request& request, const record::Record& record) const = 0;

  // Appends all that comes before the body.  held_bytes: the length of a body that was held as a whole, however it
  // came.  Invalid: the request is better refused (400) than forwarded.
  virtual Result<Written> write_head(const http::Request& request, const record::Record& record,
                                     std::optional<uint64_t> held_bytes, std::string& out) const = 0;

  virtual std::unique_ptr<http::ResponseReader> make_reader(const http::Request& request, bool upgrade) const = 0;

  // Leaves out and rewrites fields of a response's head, as the request's location says.
  virtual void fit_fields(const http::Request& request, const record::Record& record,
                          std::vector<http::ResponseField>& fields) const = 0;
};

}  // namespace beamgate::upstream
