#include "worker/upstream/health_checks.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <memory>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "worker/upstream/fields.h"
#include "worker/upstream/response_parser.h"

namespace beamgate::upstream {
namespace {

using metrics::Metric;

constexpr size_t kReadBytes = 16 << 10;

config::Address with_port(config::Address address, uint16_t port) {
  if (port == 0) return address;
  if (address.storage.ss_family == AF_INET) {
    reinterpret_cast<sockaddr_in&>(address.storage).sin_port = htons(port);
  } else if (address.storage.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(address.storage).sin6_port = htons(port);
  }
  return address;
}

}  // namespace

//   waiting  -- the interval has passed --------------> asking
//   asking   -- a head, an error, or the timeout -----> waiting
class HealthChecks::Check final : public Peer::Companion, public ConnectionUser, public DeadlineTarget {
 public:
  Check(const Parts& parts, Peer& peer, std::shared_ptr<const config::Upstream> upstream)
      : DeadlineTarget(parts.deadlines),
        parts_(parts),
        peer_(peer),
        upstream_(std::move(upstream)),
        name_(upstream_->name),
        asks_(upstream_->health) {
    request_ = "GET " + asks_.uri + " HTTP/1.1\r\nHost: ";
    append_value(name_, request_);
    request_ += "\r\nUser-Agent: BeamGate\r\nConnection: close\r\n\r\n";
    set_deadline(monotonic_ms());
  }

  // It asks what this configuration says.
  bool asks(const config::Upstream& upstream) const { return &upstream == upstream_.get(); }

  void on_deadline() override {
    const int64_t now_ms = monotonic_ms();
    set_deadline(now_ms + asks_.interval_ms);
    if (connection_ != nullptr) return;  // The timeout is longer than the interval.
    parts_.metrics.add(Metric::UpstreamChecks);
    sent_ = 0;
    parser_.emplace(ResponseParser::Asked{});
    const config::Address address = with_port(peer_.server().address, asks_.port);
    auto opened = Connection::open(address, parts_.poller, parts_.deadlines, *this);
    if (!opened.ok()) return failed(opened.error().message());
    connection_ = std::move(opened).value();
    connection_->set_deadline(now_ms + asks_.timeout_ms);
    if (!connection_->is_connecting()) send();
  }

  void on_connection_ready(Connection&, uint32_t events) override {
    if (connection_->is_connecting()) {
      const Result<void> connected = connection_->finish_connect();
      if (!connected.ok()) return failed(connected.error().message());
    }
    if (sent_ < request_.size()) return send();
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) receive();
  }

  void on_connection_deadline(Connection&) override { failed("timed out"); }

 private:
  void send() {
    const Result<size_t> sent = connection_->send(std::string_view(request_).substr(sent_));
    if (sent.ok()) {
      sent_ += sent.value();
    } else if (sent.error().code != Code::WouldBlock) {
      return failed(sent.error().message());
    }
    connection_->want_write(sent_ < request_.size());
  }

  void receive() {
    char bytes[kReadBytes];
    const Result<size_t> received = connection_->receive(bytes);
    if (!received.ok()) {
      if (received.error().code != Code::WouldBlock) failed(received.error().message());
      return;
    }
    std::string_view body;
    switch (parser_->feed(std::span<char>(bytes, received.value()), body)) {
      case ResponseParser::State::Head:
        return;
      case ResponseParser::State::Body:
      case ResponseParser::State::Complete:
        return judge(parser_->head().status);
      case ResponseParser::State::Switched:
      case ResponseParser::State::Invalid:
        return failed("the response is invalid");
    }
  }

  void judge(uint16_t status) {
    if (status < asks_.status_min || status > asks_.status_max) {
      return failed("status " + std::to_string(status));
    }
    connection_.reset();
    fails_ = 0;
    if (peer_.healthy() || ++passes_ < asks_.passes) return;
    parts_.log.notice("upstream_healthy", {{"upstream", name_}, {"server", peer_.server().address.text}});
    peer_.set_healthy(true, monotonic_ms());
  }

  void failed(const std::string& why) {
    connection_.reset();
    parts_.metrics.add(Metric::UpstreamChecksFailed);
    passes_ = 0;
    if (!peer_.healthy() || ++fails_ < asks_.fails) return;
    parts_.log.warn("upstream_unhealthy",
                    {{"upstream", name_}, {"server", peer_.server().address.text}, {"error", why}});
    peer_.set_healthy(false, monotonic_ms());
  }

  const Parts& parts_;
  Peer& peer_;
  const std::shared_ptr<const config::Upstream> upstream_;
  const std::string& name_;
  const config::HealthCheck& asks_;
  std::string request_;
  size_t sent_ = 0;
  std::unique_ptr<Connection> connection_;
  std::optional<ResponseParser> parser_;
  uint32_t fails_ = 0;   // In a row.
  uint32_t passes_ = 0;
};

void HealthChecks::follow(const Group& group) {
  const std::shared_ptr<const config::Upstream>& upstream = group.upstream_shared();
  for (const std::unique_ptr<Peer>& peer : group.peers()) {
    if (!peer->configured) continue;
    if (!upstream->health.on || peer->server().down) {
      peer->companion.reset();
      peer->set_healthy(true, monotonic_ms());
      continue;
    }
    auto* known = static_cast<Check*>(peer->companion.get());
    if (known == nullptr || !known->asks(*upstream)) {
      peer->companion = std::make_unique<Check>(parts_, *peer, upstream);
    }
  }
}

}  // namespace beamgate::upstream
