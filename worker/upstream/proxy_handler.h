// Proxy handler: serves locations with proxy_pass and fastcgi_pass (config::Action::Proxy and Fastcgi).
//
// Owner      Worker; it outlives every exchange it handled, and every exchange ends before it does.
// Thread     Worker loop thread only.
// Limits     One read buffer for all responses; see proxy_leg.h for one exchange, group.h for connections.
// Errors     405 for CONNECT and TRACE, 400 for what can't be forwarded, 502 where proxy_pass with variables names no
//            upstream; proxy_leg.h for the backend's.
#pragma once

#include <memory>

#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "common/uv/loop.h"
#include "worker/http/exchange.h"
#include "worker/net/poller.h"
#include "worker/upstream/fastcgi_protocol.h"
#include "worker/upstream/health_checks.h"
#include "worker/upstream/http_protocol.h"
#include "worker/upstream/name_watches.h"
#include "worker/upstream/proxy_leg.h"
#include "worker/upstream/resolver.h"

namespace beamgate::upstream {

class ProxyHandler final : public http::Handler {
 public:
  static constexpr size_t kLandingBytes = 64 << 10;

  ProxyHandler(uv::Loop& loop, net::Poller& poller, http::Exchanges& exchanges, log::Log& log,
               metrics::Page& metrics);

  // A configuration is in force: its servers are checked and its names asked for from now on.
  void follow(const config::Http& http);

  void handle(http::Exchange& exchange) override;
  const Pool& pool() const { return pool_; }
  size_t active() const { return legs_.size(); }

 private:
  bool find_way(http::Exchange& exchange);
  void refuse(http::Exchange& exchange, uint16_t status);  // Which no application could be given.

  Deadlines deadlines_;
  Pool pool_;
  HealthChecks checks_;
  Resolver resolver_;
  NameWatches names_;
  HttpProtocol http_;
  FastcgiProtocol fastcgi_;
  ProxyLegs legs_;
  std::unique_ptr<char[]> landing_;
  ProxyParts parts_;
};

}  // namespace beamgate::upstream
