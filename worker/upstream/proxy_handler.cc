#include "worker/upstream/proxy_handler.h"

#include "worker/record/uid.h"
#include "worker/upstream/proxy_target.h"

namespace beamgate::upstream {
namespace {

// Tells the leg what becomes of the client's side.
class ProxyAttachment final : public http::Attachment {
 public:
  explicit ProxyAttachment(ProxyLeg& leg) : leg_(leg) {}
  ~ProxyAttachment() override { leg_.detach(); }

  size_t on_body(std::string_view bytes) override { return leg_.on_body(bytes); }
  void on_body_end() override { leg_.on_body_end(); }
  std::optional<std::string_view> body_so_far() const override { return leg_.body_so_far(); }
  void on_writable() override { leg_.on_client_writable(); }
  bool outlives_client() const override { return leg_.outlives_client(); }

 private:
  ProxyLeg& leg_;
};

}  // namespace

ProxyHandler::ProxyHandler(uv::Loop& loop, net::Poller& poller, http::Exchanges& exchanges, log::Log& log,
                           metrics::Page& metrics)
    : deadlines_(loop),
      checks_(poller, deadlines_, log, metrics),
      resolver_(loop),
      names_(deadlines_, resolver_, checks_, log, metrics),
      landing_(std::make_unique<char[]>(kLandingBytes)),
      parts_{poller, deadlines_, pool_, exchanges, legs_, log, metrics,
             std::span<char>(landing_.get(), kLandingBytes)} {}

void ProxyHandler::follow(const config::Http& http) {
  names_.configure(http.resolver);
  for (const auto& [name, upstream] : http.upstreams) {
    Group& group = pool_.group(upstream);
    checks_.follow(group);
    names_.follow(group);
  }
}

void ProxyHandler::handle(http::Exchange& exchange) {
  const std::string_view method = exchange.request().method;
  // A tunnel has no place in front of an application, and TRACE would show it what we added.
  if (method == "CONNECT" || method == "TRACE") return refuse(exchange, 405);
  const bool is_fastcgi = exchange.request().location->action == config::Action::Fastcgi;
  exchange.trace().destination = nullptr;
  if (!is_fastcgi && exchange.request().location->proxy.varies() && !find_way(exchange)) return refuse(exchange, 502);
  const BackendProtocol& protocol = is_fastcgi ? static_cast<const BackendProtocol&>(fastcgi_) : http_;
  auto made = std::make_unique<ProxyLeg>(parts_, protocol, exchange);
  if (!made->write_head(exchange)) return refuse(exchange, 400);
  ProxyLeg& leg = legs_.add(std::move(made));
  exchange.attach(std::make_unique<ProxyAttachment>(leg));
  leg.start();
}

// What proxy_pass with variables says of this request.  False: it is no upstream.
bool ProxyHandler::find_way(http::Exchange& exchange) {
  std::string host;
  exchange.trace().destination = find_destination(exchange.request(), exchange.record(), host);
  if (exchange.trace().destination != nullptr) return true;
  parts_.log.error("upstream_unknown", {{"connection", record::format_uid(exchange.record().uid)}, {"upstream", host}});
  return false;
}

void ProxyHandler::refuse(http::Exchange& exchange, uint16_t status) {
  parts_.metrics.add(metrics::Metric::RequestsRefusedNotPassedOn);
  exchange.respond_status(status);
}

}  // namespace beamgate::upstream
