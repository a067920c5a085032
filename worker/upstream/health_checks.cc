#include "worker/upstream/health_checks.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "common/base/clock.h"
#include "worker/fastcgi/params.h"
#include "worker/fastcgi/record.h"
#include "worker/fastcgi/response_parser.h"
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

std::string http_request(const std::string& uri, const std::string& host) {
  std::string out = "GET " + uri + " HTTP/1.1\r\nHost: ";
  append_value(host, out);
  return out + "\r\nUser-Agent: BeamGate\r\nConnection: close\r\n\r\n";
}

std::string fastcgi_request(const std::string& uri, const std::string& host) {
  const size_t question = std::min(uri.find('?'), uri.size());
  const std::string script = uri.substr(0, question);
  std::string pairs;
  for (const auto& [name, value] : std::initializer_list<std::pair<std::string_view, std::string>>{
           {"REQUEST_METHOD", "GET"},
           {"SCRIPT_NAME", script},
           {"SCRIPT_FILENAME", script},
           {"REQUEST_URI", uri},
           {"QUERY_STRING", question < uri.size() ? uri.substr(question + 1) : ""},
           {"SERVER_PROTOCOL", "HTTP/1.1"},
           {"GATEWAY_INTERFACE", "CGI/1.1"},
           {"HTTP_HOST", host},
           {"HTTP_USER_AGENT", "BeamGate"}}) {
    fastcgi::append_param(name, value, pairs);
  }
  std::string out;
  fastcgi::append_begin(false, out);
  fastcgi::append_params(pairs, out);
  fastcgi::append_stream_end(fastcgi::RecordType::Stdin, out);
  return out;
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
    request_ = asks_.fastcgi ? fastcgi_request(asks_.uri, name_) : http_request(asks_.uri, name_);
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
    if (asks_.fastcgi) {
      reader_ = std::make_unique<fastcgi::ResponseParser>(false);
    } else {
      reader_ = std::make_unique<ResponseParser>(ResponseParser::Asked{});
    }
    const config::Address address = with_port(peer_.server().address, asks_.port);
    auto opened = Connection::open(address, parts_.poller, parts_.deadlines, *this);
    if (!opened.ok()) return failed(Metric::UpstreamChecksFailedConnect, opened.error().message());
    connection_ = std::move(opened).value();
    connection_->set_deadline(now_ms + asks_.timeout_ms);
    if (!connection_->is_connecting()) send();
  }

  void on_connection_ready(Connection&, uint32_t events) override {
    if (connection_->is_connecting()) {
      const Result<void> connected = connection_->finish_connect();
      if (!connected.ok()) return failed(Metric::UpstreamChecksFailedConnect, connected.error().message());
    }
    if (sent_ < request_.size()) return send();
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) receive();
  }

  void on_connection_deadline(Connection&) override {
    failed(Metric::UpstreamChecksFailedTimeout, "timed out");
  }

 private:
  void send() {
    const Result<size_t> sent = connection_->send(std::string_view(request_).substr(sent_));
    if (sent.ok()) {
      sent_ += sent.value();
    } else if (sent.error().code != Code::WouldBlock) {
      return failed(Metric::UpstreamChecksFailedClosed, sent.error().message());
    }
    connection_->want_write(sent_ < request_.size());
  }

  void receive() {
    char bytes[kReadBytes];
    const Result<size_t> received = connection_->receive(bytes);
    if (!received.ok()) {
      if (received.error().code == Code::WouldBlock) return;
      return failed(Metric::UpstreamChecksFailedClosed, received.error().message());
    }
    std::string_view body;
    using State = http::ResponseReader::State;
    switch (reader_->feed(std::span<char>(bytes, received.value()), body)) {
      case State::Head:
        return;
      case State::Body:
      case State::Complete:
        return judge(reader_->head().status);
      case State::Switched:
      case State::Invalid:
        return invalid(reader_->failure());
    }
  }

  // "Untouched" is what FastCGI has for a 503.
  void invalid(const http::ResponseReader::Failure& failure) {
    failed(failure.untouched ? Metric::UpstreamChecksFailedStatus : Metric::UpstreamChecksFailedMalformed, failure.text);
  }

  void judge(uint16_t status) {
    if (status < asks_.status_min || status > asks_.status_max) {
      return failed(Metric::UpstreamChecksFailedStatus, "status " + std::to_string(status));
    }
    connection_.reset();
    fails_ = 0;
    if (peer_.healthy() || ++passes_ < asks_.passes) return;
    parts_.log.notice("upstream_healthy", {{"upstream", name_}, {"server", peer_.server().address.text}});
    peer_.set_healthy(true, monotonic_ms());
  }

  void failed(Metric reason, const std::string& why) {
    connection_.reset();
    parts_.metrics.add(reason);
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
  std::unique_ptr<http::ResponseReader> reader_;
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
