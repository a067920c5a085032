// Request writer: the head of the request that a backend gets.
//
// Owner      ProxyHandler; it keeps nothing of a request.
// Says       Host is $proxy_host; X-Real-IP, X-Forwarded-For, -Proto and -Host are ours (a trusted peer's are
//            continued); proxy_set_header overrides each of them, an empty value removes it.  The framing
//            (Content-Length, Transfer-Encoding, Connection) is always ours.  With proxy_protocol, its header comes
//            first and the connection can't be kept: it speaks of one client.
// Upgrade    A client that asks for a WebSocket is passed on as such, unless proxy_set_header gives Upgrade or
//            Connection another value.  No other protocol is: who could speak h2c to a backend would get past
//            everything that is checked here.
// Errors     Invalid: a request that is better refused (400) than forwarded.
#pragma once

#include <cstdint>
#include <optional>
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

  struct Written {
    bool keep = false;     // The connection may be kept afterwards.
    bool upgrade = false;  // It asks for a WebSocket.
  };

  // Appends the head to out.  held_bytes: the length of a body that was held as a whole, however it came.
  Result<Written> write(const http::Request& request, const record::Record& record,
                        const config::ProxyAction& proxy, std::optional<uint64_t> held_bytes,
                        std::string& out) const;

 private:
  config::Template scheme_;
};

}  // namespace beamgate::upstream
