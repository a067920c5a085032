// WebSockets passed through: bytes both ways as they are, each side held up by the other, and every way to end.
#include <sys/socket.h>

#include "tests/unit/worker/upstream/proxy_harness.h"

namespace beamgate::upstream {
namespace {

constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: x\r\n\r\n";

class Tunnel : public ProxyTest {
 protected:
  FakeExchange& ask() {
    FakeExchange& made = exchange("GET", "/chat");
    made.request_.upgrade_websocket = true;
    return handle(made);
  }

  // The client's side and the backend's of an open tunnel.
  FakeExchange& open(std::string_view behind = {}) {
    FakeExchange& client = ask();
    backend_ = accept(*origin_);
    EXPECT_NE(read_until(backend_, "\r\n\r\n").find("Upgrade: websocket\r\n"), std::string::npos);
    client.end_body();
    write_all(backend_, std::string(kSwitch) + std::string(behind));
    pump_until([&] { return client.begun(); });
    return client;
  }

  uint64_t tunnels() const { return metrics_->get(metrics::Metric::UpstreamTunnelsActive); }

  UniqueFd backend_;
};

TEST_F(Tunnel, PassesBytesBothWays) {
  FakeExchange& client = open("early");
  EXPECT_EQ(client.head.status, 101);
  EXPECT_EQ(client.field("Sec-WebSocket-Accept"), "x");
  EXPECT_EQ(client.field("Upgrade"), "websocket");
  EXPECT_EQ(client.field("Connection"), "Upgrade");
  pump_until([&] { return client.body == "early"; });
  EXPECT_EQ(tunnels(), 1u);
  EXPECT_EQ(client.give_body("\x81\x01x"), 3u);
  EXPECT_EQ(read_until(backend_, "x"), "\x81\x01x");
  write_all(backend_, "later");
  pump_until([&] { return client.body == "earlylater"; });
  client.lose();
  EXPECT_TRUE(reads_end(backend_));
  EXPECT_EQ(tunnels(), 0u);
  EXPECT_EQ(handler_.active(), 0u);
}

TEST_F(Tunnel, TheBackendsEndIsTheClients) {
  FakeExchange& client = open();
  write_all(backend_, "bye");
  backend_.reset();
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.body, "bye");
  EXPECT_EQ(tunnels(), 0u);
}

TEST_F(Tunnel, TheClientsEndIsPassedOnAndTheBackendStillHeard) {
  FakeExchange& client = open();
  client.give_body("last");
  client.end_body();
  std::string got;
  pump_until([&] { return !read_some(backend_, got); });
  EXPECT_EQ(got, "last");
  write_all(backend_, "answer");
  pump_until([&] { return client.body == "answer"; });
  backend_.reset();
  pump_until([&] { return client.finished; });
}

TEST_F(Tunnel, ASlowBackendHoldsUpTheClient) {
  location_.proxy.buffer_bytes = 16 << 10;
  FakeExchange& client = open();
  const std::string part(4 << 10, 'x');
  size_t given = 0;
  size_t taken = part.size();
  while (taken == part.size()) {
    taken = client.give_body(part);
    given += taken;
    ASSERT_LT(given, 64u << 20);
  }
  EXPECT_EQ(client.resumed, 0);
  std::string got;
  pump_until([&] { return read_some(backend_, got), client.resumed > 0; });
  pump_until([&] { return read_some(backend_, got), got.size() == given; });
  EXPECT_EQ(client.give_body("y"), 1u);
  pump_until([&] { return read_some(backend_, got), got.ends_with("y"); });
}

TEST_F(Tunnel, ASlowClientHoldsUpTheBackend) {
  FakeExchange& client = open();
  client.window = 1;
  const std::string part(256 << 10, 'x');
  size_t sent = 0;
  const auto push = [&] {
    const ssize_t some = send(backend_.get(), part.data(), part.size(), MSG_NOSIGNAL);
    if (some > 0) sent += static_cast<size_t>(some);
    return some;
  };
  for (int idle = 0; idle < 20;) {
    idle = push() > 0 ? 0 : idle + 1;
    turn();
  }
  EXPECT_LE(client.body.size(), ProxyHandler::kLandingBytes);
  client.window = SIZE_MAX;
  client.drain();
  pump_until([&] { return client.body.size() == sent; });
}

TEST_F(Tunnel, SilenceOfTheBackendEndsIt) {
  location_.proxy.read_timeout_ms = 50;
  FakeExchange& client = open();
  pump_until([&] { return client.finished; });
  EXPECT_TRUE(reads_end(backend_));
}

TEST_F(Tunnel, ABackendMayDecline) {
  FakeExchange& client = ask();
  const UniqueFd backend = accept(*origin_);
  read_until(backend, "\r\n\r\n");
  write_all(backend, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.head.status, 403);
  EXPECT_EQ(client.body, "no");
}

TEST_F(Tunnel, AnAgreementToSomethingElseIsABadGateway) {
  FakeExchange& client = ask();
  const UniqueFd backend = accept(*origin_);
  read_until(backend, "\r\n\r\n");
  write_all(backend, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n");
  pump_until([&] { return client.over; });
  EXPECT_EQ(client.head.status, 502);
}

}  // namespace
}  // namespace beamgate::upstream
