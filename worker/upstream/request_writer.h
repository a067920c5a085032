// Request writer: the head of the request that a backend gets.
//
// Owner      ProxyHandler; it keeps nothing of a request.
// Says       Host is $proxy_host; X-Real-IP, X-Forwarded-For, -Proto and -Host are ours (a trusted peer's are
//            continued); proxy_set_header overrides each of them, an empty value removes it.  The framing
//            (Content-Length, Transfer-Encoding, Connection) is always ours.  With proxy_protocol, its header comes
//            first and the connection can't be kept: it speaks of one client.
// Errors     Invalid: a request that is better refused (400) than forwarded.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/config/model.h"
#include "common/config/template.h"
#include "worker/http/exchange.h"
#include "worker/record/record.h"

namespace beamgate::upstream {

class RequestWriter {
 public:
  RequestWriter();

  // Appends the head to out.  The value says whether the connection may be kept afterwards.
  Result<bool> write(const http::Request& request, const record::Record& record,
                     const config::ProxyAction& proxy, std::string& out) const;

 private:
  config::Template scheme_;
};

}  // namespace beamgate::upstream
