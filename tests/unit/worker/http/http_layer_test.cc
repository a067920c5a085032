// The life of HTTP connections, over real sockets: keep-alive, pipelining, bodies, early answers, timeouts,
// half-closes and upgrades; and that after an error no byte of the connection is taken for a request.
#include "worker/http/http_layer.h"

#include <functional>

#include "tests/unit/worker/http/layer_fixture.h"

namespace beamgate::http {
namespace {

constexpr const char* kServer =
    "server { listen 127.0.0.1:8000; client_max_body_size 100; location / { api; } location /r { return 200 "
    "hi; } }";
constexpr const char* kGet = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

// Its behaviour is each test's own.
class TestHandler : public Handler {
 public:
  void handle(Exchange& exchange) override { on_handle(exchange); }
  std::function<void(Exchange&)> on_handle;
};

class Probe : public Attachment {
 public:
  struct Seen {
    std::string body;
    int ends = 0;
    int writables = 0;
    int destroyed = 0;
    size_t take_at_most = SIZE_MAX;
    std::function<void()> on_body;
    std::function<void()> on_end;
    std::function<void()> on_writable;
  };
  explicit Probe(Seen& seen) : seen_(seen) {}
  ~Probe() override { ++seen_.destroyed; }
  size_t on_body(std::string_view bytes) override {
    const size_t taken = std::min(bytes.size(), seen_.take_at_most);
    seen_.take_at_most -= seen_.take_at_most == SIZE_MAX ? 0 : taken;
    seen_.body += bytes.substr(0, taken);
    if (seen_.on_body) seen_.on_body();
    return taken;
  }
  void on_body_end() override {
    ++seen_.ends;
    if (seen_.on_end) seen_.on_end();
  }
  void on_writable() override {
    ++seen_.writables;
    if (seen_.on_writable) seen_.on_writable();
  }

 private:
  Seen& seen_;
};

class HttpLayerTest : public LayerTest {
 protected:
  void start(const std::string& http = kServer) {
    LayerTest::start(http);
    dispatcher_->set_handler(config::Action::Api, handler_);
    handler_.on_handle = [this](Exchange& exchange) {
      exchange_ = exchange.id();
      exchange.attach(std::make_unique<Probe>(seen_));
    };
  }
  Exchange& pending() {
    Exchange* found = dispatcher_->find(exchange_);
    EXPECT_NE(found, nullptr);
    return *found;
  }
  // Answers with what it got.
  void echo_bodies() {
    seen_.on_end = [this] {
      pending().respond(200, "text/plain", seen_.body);
      seen_.body.clear();
    };
  }

  TestHandler handler_;
  Probe::Seen seen_;
  ExchangeId exchange_;
};

TEST_F(HttpLayerTest, AnswersAndKeepsTheConnection) {
  start();
  open();
  for (int i = 0; i < 3; ++i) {
    const std::string answer = exchange("GET /r HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(status_of_response(answer), 200);
    EXPECT_EQ(body_of(answer), "hi");
    EXPECT_EQ(count(answer, "Content-Length: 2\r\n"), 1u);
    EXPECT_EQ(count(answer, "Date: "), 1u);
    EXPECT_EQ(count(answer, "Connection:"), 0u);
  }
  EXPECT_TRUE(alive());
  EXPECT_EQ(layer_->in_flight(), 0u);
  EXPECT_EQ(page_.get(metrics::Metric::HttpRequests), 3u);
  EXPECT_EQ(page_.get(metrics::Metric::HttpResponses2xx), 3u);
}

TEST_F(HttpLayerTest, RequestsCutAtEveryByte) {
  start();
  echo_bodies();
  open();
  const std::string request =
      "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: "
      "v\r\n\r\n";
  for (size_t cut = 1; cut < request.size(); ++cut) {
    send(std::string_view(request).substr(0, cut));
    turn();
    const std::string answer = exchange(std::string_view(request).substr(cut));
    EXPECT_EQ(body_of(answer), "abcde") << cut;
  }
  for (const char c : request) {
    send({&c, 1});
    turn();
  }
  EXPECT_EQ(body_of(receive()), "abcde");
}

TEST_F(HttpLayerTest, PipelinedRequestsAreAnsweredInOrderOneAtATime) {
  start();
  std::vector<ExchangeId> ids;
  handler_.on_handle = [&](Exchange& exchange) {
    ids.push_back(exchange.id());
    exchange.attach(std::make_unique<Probe>(seen_));
  };
  open();
  const std::string three =
      std::string(kGet) + "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nGET" + kGet;
  send(three);
  turn(3);
  ASSERT_EQ(ids.size(), 1u) << "the second waits for the first";
  for (size_t i = 0; i < 3; ++i) {
    dispatcher_->find(ids[i])->respond(200, "text/plain", "answer " + std::to_string(i));
    EXPECT_EQ(dispatcher_->find(ids[i]), nullptr);
    EXPECT_EQ(body_of(receive()), "answer " + std::to_string(i));
    ASSERT_EQ(ids.size(), std::min<size_t>(i + 2, 3));
  }
  EXPECT_EQ(seen_.body, "GET");
  EXPECT_EQ(seen_.destroyed, 3);
  EXPECT_TRUE(alive());
}

TEST_F(HttpLayerTest, ManyPipelinedRequestsShareTheTurnWithOthers) {
  start();
  open();
  std::string many;
  for (int i = 0; i < 500; ++i) many += "GET /r HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_EQ(count(exchange(many), "HTTP/1.1 200"), 500u);
  EXPECT_TRUE(alive());
}

TEST_F(HttpLayerTest, AClientThatDoesNotReadIsNotServedOn) {
  start("server { listen 127.0.0.1:8000; location / { return 200 " + std::string(4000, 'x') + "; } }");
  record::Record* record = open();
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  send(many);
  turn(50);
  EXPECT_LT(connections_->outbound_queued(*record), 4 * Session::kHighWaterBytes);
  EXPECT_EQ(count(receive(), "HTTP/1.1 200"), 1000u) << "and goes on when it reads";
}

TEST_F(HttpLayerTest, BodiesByLengthAndByChunksReachTheHandler) {
  start();
  echo_bodies();
  open();
  EXPECT_EQ(body_of(exchange("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")), "hello");
  EXPECT_EQ(body_of(exchange("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "5\r\nhello\r\n0\r\n\r\n")),
            "hello");
  EXPECT_EQ(body_of(exchange("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")), "");
  EXPECT_EQ(seen_.ends, 3);
}

TEST_F(HttpLayerTest, ABodyThatIsNotTakenWaits) {
  start();
  open();
  seen_.take_at_most = 2;
  send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef");
  turn(3);
  EXPECT_EQ(seen_.body, "ab");
  EXPECT_FALSE(pending().body_complete());
  seen_.take_at_most = 3;
  pending().resume_body();
  turn(2);
  EXPECT_EQ(seen_.body, "abcde");
  EXPECT_EQ(seen_.ends, 0);
  seen_.take_at_most = SIZE_MAX;
  pending().resume_body();
  turn(2);
  EXPECT_EQ(seen_.body, "abcdef");
  EXPECT_EQ(seen_.ends, 1);
  pending().respond_status(200);
  EXPECT_EQ(status_of_response(receive()), 200);
}

TEST_F(HttpLayerTest, ABodyIsPausedAndResumedFromWithinItsOwnCall) {
  start();
  open();
  seen_.take_at_most = 1;
  seen_.on_body = [this] {
    seen_.take_at_most = 1;
    pending().resume_body();
  };
  echo_bodies();
  send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef");
  turn(10);
  EXPECT_EQ(body_of(receive()), "abcdef");
}

TEST_F(HttpLayerTest, TooLargeBodiesAreRefused) {
  start();
  open();
  // Before a byte of it is read when its length is told; the connection can't be used on.
  EXPECT_EQ(status_of_response(exchange("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n")), 413);
  EXPECT_TRUE(closed());
  open();
  EXPECT_EQ(
      status_of_response(exchange("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" +
                                  std::string(101, 'x'))),
      413);
  EXPECT_TRUE(closed());
  open();
  echo_bodies();
  EXPECT_EQ(status_of_response(exchange("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" +
                                        std::string(100, 'x'))),
            200);
  EXPECT_TRUE(alive());
}

TEST_F(HttpLayerTest, AfterAnErrorNothingIsTakenForARequest) {
  start();
  echo_bodies();
  for (const char* bad :
       {"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET /x HTTP/1.1\n\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n"}) {
    open();
    const std::string answer = exchange(std::string(bad) + kGet);
    EXPECT_EQ(status_of_response(answer), 400) << bad;
    EXPECT_EQ(count(answer, "HTTP/1.1"), 1u) << bad;
    EXPECT_EQ(count(answer, "Connection: close"), 1u) << bad;
    EXPECT_TRUE(closed()) << bad;
  }
}

TEST_F(HttpLayerTest, AnEarlyAnswerLeavesTheRestOfTheBodyUnread) {
  start();
  handler_.on_handle = [](Exchange& exchange) { exchange.respond_status(403); };
  open();
  // What is left is small: it is read away, and the connection goes on.
  send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(status_of_response(receive()), 403);
  EXPECT_TRUE(alive());
  EXPECT_EQ(status_of_response(exchange(std::string("defghij") + kGet)), 403);
  EXPECT_TRUE(alive());
  // Chunks too, and a broken one ends the connection instead of becoming a request.
  EXPECT_EQ(count(exchange("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "3\r\nabc\r\n0\r\n\r\n" +
                           std::string(kGet)),
                  "403"),
            4u);
  EXPECT_EQ(count(exchange("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "3\r\nabcd\r\n0\r\n\r\n" +
                           std::string(kGet)),
                  "HTTP/1.1 403"),
            1u);
  EXPECT_TRUE(closed());
}

TEST_F(HttpLayerTest, ALargeUnwantedBodyEndsTheConnection) {
  start("server { listen 127.0.0.1:8000; client_max_body_size 0; location / { api; } }");
  handler_.on_handle = [](Exchange& exchange) { exchange.respond_status(403); };
  open();
  const std::string answer = exchange("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\nabc");
  EXPECT_EQ(count(answer, "Connection: close"), 1u);
  EXPECT_TRUE(closed());
  open();
  send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20; ++i) {
    send("4000\r\n" + std::string(0x4000, 'x') + "\r\n");
    turn(2);
  }
  EXPECT_FALSE(alive());
}

TEST_F(HttpLayerTest, ContinueIsSentWhenTheBodyIsWanted) {
  start();
  echo_bodies();
  open();
  const std::string head = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  EXPECT_EQ(exchange(head), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(body_of(exchange("ok")), "ok");
  EXPECT_TRUE(alive());
  // It is not sent when the answer is known without it, and then nobody knows whether the body will come.
  handler_.on_handle = [](Exchange& exchange) { exchange.respond_status(403); };
  const std::string answer = exchange(head);
  EXPECT_EQ(status_of_response(answer), 403);
  EXPECT_EQ(count(answer, "Connection: close"), 1u);
  EXPECT_TRUE(closed());
}

TEST_F(HttpLayerTest, Http10) {
  start();
  open();
  const std::string answer = exchange("GET /r HTTP/1.0\r\n\r\n");
  EXPECT_EQ(body_of(answer), "hi");
  EXPECT_EQ(count(answer, "Connection: close"), 1u);
  EXPECT_TRUE(closed());
  open();
  EXPECT_EQ(count(exchange("GET /r HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), "Connection: keep-alive"),
            1u);
  EXPECT_TRUE(alive());
}

TEST_F(HttpLayerTest, ARequestWithoutABodyThatSaysCloseIsTheLast) {
  start();
  const auto gone_at_once = [&](const std::string& request) {
    open();
    const std::string answer = exchange(request);
    EXPECT_EQ(count(answer, "Connection: close"), 1u);
    EXPECT_TRUE(closed());
    return connections_->find(id_) == nullptr;
  };
  EXPECT_TRUE(gone_at_once("GET /r HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  EXPECT_TRUE(gone_at_once("GET /r HTTP/1.0\r\n\r\n"));
  // Whoever may send more must not meet a reset that takes the answer away.
  EXPECT_FALSE(gone_at_once("POST /r HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"));
  EXPECT_FALSE(gone_at_once("GET /r HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n"));
}

TEST_F(HttpLayerTest, StreamedResponsesAreFramedForTheirClient) {
  start();
  handler_.on_handle = [](Exchange& exchange) {
    exchange.begin(ResponseHead{200, {{"X-A", "b\r\nInjected: 1"}}});
    EXPECT_TRUE(exchange.write("hello "));
    EXPECT_TRUE(exchange.write(""));
    EXPECT_TRUE(exchange.write("world"));
    exchange.finish();
  };
  open();
  const std::string chunked = exchange(kGet);
  EXPECT_EQ(body_of(chunked), "6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n");
  EXPECT_EQ(count(chunked, "\r\nInjected"), 0u);
  EXPECT_EQ(body_of(exchange("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")), "");
  EXPECT_TRUE(alive());
  EXPECT_EQ(body_of(exchange("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")), "hello world");
  EXPECT_TRUE(closed()) << "only its end delimits that body";
}

TEST_F(HttpLayerTest, AResponseOfAnotherLengthThanPromisedIsCut) {
  start();
  for (const char* body : {"abc", "abcdef"}) {
    handler_.on_handle = [body](Exchange& exchange) {
      exchange.begin(ResponseHead{200, {}, 5});
      if (exchange.write(body)) exchange.finish();
    };
    open();
    EXPECT_NE(body_of(exchange(kGet)).size(), 5u);
    EXPECT_TRUE(closed());
  }
}

TEST_F(HttpLayerTest, AWriterIsToldWhenToWaitAndWhenToGoOn) {
  start();
  open();
  send(kGet);
  turn();
  seen_.on_writable = [this] {
    if (seen_.writables > 100) return pending().finish();
    while (pending().write(std::string(10'000, 'x'))) {
    }
  };
  pending().begin(ResponseHead{200, {}});
  while (pending().write(std::string(10'000, 'x'))) {
  }
  EXPECT_LT(connections_->outbound_queued(pending().record()), 2 * Session::kHighWaterBytes);
  const std::string answer = receive();
  EXPECT_TRUE(answer.ends_with("0\r\n\r\n"));
  EXPECT_GT(answer.size(), 100u * Session::kHighWaterBytes);
  EXPECT_TRUE(alive());
}

TEST_F(HttpLayerTest, AbortIsA502OrACut) {
  start();
  open();
  send(kGet);
  turn();
  pending().abort();
  EXPECT_EQ(status_of_response(receive()), 502);
  EXPECT_TRUE(alive());
  send(kGet);
  turn();
  pending().begin(ResponseHead{200, {}});
  pending().abort();
  EXPECT_EQ(count(receive(), "0\r\n\r\n"), 0u);
  EXPECT_FALSE(alive());
}

TEST_F(HttpLayerTest, AHandlerThatForgetsToAnswerIsA500) {
  start();
  handler_.on_handle = [](Exchange&) {};
  open();
  EXPECT_EQ(status_of_response(exchange(kGet)), 500);
}

TEST_F(HttpLayerTest, TheAttachmentEndsWithItsExchange) {
  start();
  open();
  send(kGet);
  turn();
  client_.reset();
  const ExchangeId id = exchange_;
  pending().respond_status(200);
  EXPECT_EQ(dispatcher_->find(id), nullptr);
  turn();
  EXPECT_EQ(seen_.destroyed, 1);
  // And with its connection.
  record::Record* record = open();
  send(kGet);
  turn();
  connections_->close_now(*record);
  EXPECT_EQ(dispatcher_->find(exchange_), nullptr);
  turn();
  EXPECT_EQ(seen_.destroyed, 2);
}

TEST_F(HttpLayerTest, AHandlerMayEndItsOwnConnection) {
  start();
  handler_.on_handle = [this](Exchange& exchange) {
    exchange.attach(std::make_unique<Probe>(seen_));
    connections_->close_now(exchange.record());
    exchange.respond_status(200);
  };
  open();
  send(kGet);
  turn(2);
  EXPECT_EQ(seen_.destroyed, 1);
  EXPECT_EQ(layer_->in_flight(), 0u);
}

TEST_F(HttpLayerTest, AHalfClosedClientGetsItsAnswer) {
  start();
  open();
  send(kGet);
  shutdown(client_.get(), SHUT_WR);
  turn(3);
  pending().respond(200, "text/plain", "still here");
  EXPECT_EQ(body_of(receive()), "still here");
  EXPECT_TRUE(closed());
  // With its body cut short there is nothing to answer but that.
  open();
  send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  turn();
  shutdown(client_.get(), SHUT_WR);
  EXPECT_EQ(status_of_response(receive()), 400);
  EXPECT_EQ(layer_->in_flight(), 0u);
}

constexpr const char* kTimed =
    "server { listen 127.0.0.1:8000; client_header_timeout 2s; client_body_timeout 3s; keepalive_timeout 5s;"
    " location / { api; } location /r { return 200 hi; } }";

TEST_F(HttpLayerTest, HeaderTimeout) {
  // Nothing was sent: nothing is answered.
  start(kTimed);
  open();
  pass(3'000);
  EXPECT_EQ(receive(), "");
  EXPECT_TRUE(closed());
  // A head that stays incomplete, though bytes keep coming.
  start(kTimed);
  open();
  send("GET / HTTP/1.1\r\n");
  turn();
  pass(1'500);
  send("Host: a\r\n");
  turn();
  EXPECT_TRUE(alive());
  pass(1'000);
  EXPECT_EQ(status_of_response(receive()), 408);
  EXPECT_TRUE(closed());
}

TEST_F(HttpLayerTest, BodyTimeout) {
  start(kTimed);
  open();
  send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  turn();
  pass(2'500);
  EXPECT_TRUE(alive());
  pass(1'000);
  EXPECT_EQ(status_of_response(receive()), 408);
  EXPECT_TRUE(closed());
  // The handler's time is not the client's.
  start(kTimed);
  open();
  send(kGet);
  turn();
  pass(600'000);
  EXPECT_TRUE(alive());
  pending().respond_status(200);
  EXPECT_EQ(status_of_response(receive()), 200);
}

TEST_F(HttpLayerTest, KeepaliveTimeout) {
  start(kTimed);
  open();
  EXPECT_EQ(status_of_response(exchange("GET /r HTTP/1.1\r\nHost: a\r\n\r\n")), 200);
  pass(4'000);
  EXPECT_TRUE(alive());
  pass(2'000);
  EXPECT_EQ(receive(), "");
  EXPECT_TRUE(closed());
  // The head of the next request has the header timeout again.
  start(kTimed);
  open();
  EXPECT_EQ(status_of_response(exchange("GET /r HTTP/1.1\r\nHost: a\r\n\r\n")), 200);
  send("GET");
  turn();
  pass(3'000);
  EXPECT_EQ(status_of_response(receive()), 408);
}

TEST_F(HttpLayerTest, AClientThatStopsReadingIsCut) {
  start("server { listen 127.0.0.1:8000; send_timeout 2s; location / { api; } }");
  open();
  send(kGet);
  turn();
  pending().begin(ResponseHead{200, {}});
  while (pending().write(std::string(10'000, 'x'))) turn();
  turn();
  if (Exchange* exchange = dispatcher_->find(exchange_))
    static_cast<void>(exchange->write(std::string(1 << 20, 'x')));
  turn();
  pass(3'000);
  EXPECT_FALSE(alive());
  EXPECT_EQ(layer_->in_flight(), 0u);
}

TEST_F(HttpLayerTest, KeepAliveHasItsEnd) {
  start("server { listen 127.0.0.1:8000; keepalive_requests 3; location / { return 200 hi; } }");
  open();
  EXPECT_EQ(count(exchange(std::string(kGet) + kGet + kGet + kGet), "HTTP/1.1 200"), 3u);
  EXPECT_TRUE(closed());
  start("server { listen 127.0.0.1:8000; keepalive_timeout 0; location / { return 200 hi; } }");
  open();
  EXPECT_EQ(count(exchange(kGet), "Connection: close"), 1u);
  EXPECT_TRUE(closed());
}

TEST_F(HttpLayerTest, DrainingClosesIdleConnectionsAndEndsBusyOnes) {
  start();
  open();
  exchange("GET /r HTTP/1.1\r\nHost: a\r\n\r\n");
  dispatcher_->drain();
  layer_->drain();
  EXPECT_TRUE(closed());
  start();
  open();
  send(kGet);
  turn();
  dispatcher_->drain();
  layer_->drain();
  EXPECT_TRUE(alive());
  pending().respond_status(200);
  EXPECT_EQ(count(receive(), "Connection: close"), 1u);
  EXPECT_TRUE(closed());
}

// What the WebSocket layer will be.
class NextPhase : public net::PhaseHandler {
 public:
  size_t on_bytes(record::Record&, std::span<const char> bytes) override {
    seen.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_end(record::Record&) override {}
  void on_drained(record::Record&) override {}
  void on_deadline(record::Record&) override {}
  void on_gone(record::Record&) override { ++gone; }
  std::string seen;
  int gone = 0;
};

TEST_F(HttpLayerTest, AnUpgradeHandsTheConnectionAndItsBytesOn) {
  start();
  NextPhase next;
  connections_->set_handler(record::Phase::WebSocket, next);
  const std::string request =
      "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes";
  const std::vector<ResponseField> fields{{"Connection", "Upgrade"}, {"Upgrade", "websocket"}};
  // At once ...
  handler_.on_handle = [&](Exchange& exchange) {
    EXPECT_TRUE(exchange.request().upgrade_websocket);
    exchange.upgrade(fields, record::Phase::WebSocket);
  };
  open();
  EXPECT_EQ(status_of_response(exchange(request)), 101);
  EXPECT_EQ(next.seen, "frames");
  EXPECT_EQ(layer_->in_flight(), 0u);
  // ... and after a while.
  handler_.on_handle = [this](Exchange& exchange) {
    exchange_ = exchange.id();
    exchange.attach(std::make_unique<Probe>(seen_));
  };
  next.seen.clear();
  open();
  send(request);
  turn(2);
  EXPECT_EQ(next.seen, "");
  pending().upgrade(fields, record::Phase::WebSocket);
  EXPECT_EQ(connections_->find(id_)->phase, record::Phase::WebSocket) << "before upgrade() returns";
  EXPECT_EQ(status_of_response(receive()), 101);
  EXPECT_EQ(next.seen, "frames");
  EXPECT_EQ(seen_.destroyed, 1);
  connections_->close_now(*connections_->find(id_));
  EXPECT_EQ(next.gone, 1);
  stop();
}

TEST_F(HttpLayerTest, BodiesAreCollected) {
  start();
  handler_.on_handle = [this](Exchange& exchange) {
    exchange.attach(collect_body(*dispatcher_, exchange.id(), page_, [](Exchange& done, std::string&& body) {
      done.respond(200, "text/plain", "got " + body);
    }));
  };
  open();
  EXPECT_EQ(body_of(exchange("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")), "got abc");
  EXPECT_EQ(body_of(exchange(kGet)), "got ");
}

TEST_F(HttpLayerTest, NoMoreIsCollectedThanMemoryShallTake) {
  start("server { listen 127.0.0.1:8000; client_max_body_size 0; location / { api; } }");
  handler_.on_handle = [this](Exchange& exchange) {
    exchange.attach(collect_body(*dispatcher_, exchange.id(), page_, [](Exchange& done, std::string&& body) {
      done.respond(200, "text/plain", std::to_string(body.size()));
    }));
  };
  constexpr size_t kMost = size_t{64} << 20;
  const std::string piece(64 << 10, 'x');
  for (const size_t bytes : {kMost, kMost + 1}) {
    open();
    send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n");
    for (size_t given = 0; given < kMost; given += piece.size()) {
      send(piece);
      turn(2);
    }
    EXPECT_EQ(page_.get(metrics::Metric::RequestsRefusedTooLarge), 0u);
    if (bytes == kMost) {
      EXPECT_EQ(body_of(receive()), std::to_string(kMost));
    } else {
      EXPECT_EQ(status_of_response(exchange("x")), 413);
    }
  }
  EXPECT_EQ(page_.get(metrics::Metric::RequestsRefusedTooLarge), 1u);
}

TEST_F(HttpLayerTest, MutatedTrafficNeverBreaksTheLayer) {
  start();
  echo_bodies();
  const std::string seed =
      std::string(kGet) +
      "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
      "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" +
      kGet;
  uint64_t state = 88172645463325252u;
  const auto random = [&state](size_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<size_t>(state % below);
  };
  for (int round = 0; round < 1'000; ++round) {
    std::string traffic = seed;
    for (size_t edits = 1 + random(4); edits > 0; --edits) {
      const size_t at = random(traffic.size());
      if (random(2) == 0) traffic[at] = "\r\n\t :0f;\x01Z"[random(10)];
      if (random(4) == 0) traffic.erase(at, 1 + random(9));
      if (random(4) == 0) traffic.insert(at, traffic.substr(random(traffic.size()), random(20)));
    }
    open();
    for (size_t at = 0; at < traffic.size();) {
      const size_t size = std::min(traffic.size() - at, 1 + random(120));
      if (::send(client_.get(), traffic.data() + at, size, MSG_NOSIGNAL) < 0) break;
      at += size;
      turn();
    }
    if (random(2) == 0) shutdown(client_.get(), SHUT_WR);
    const std::string answers = receive();
    EXPECT_LE(count(answers, "HTTP/1.1 "), 8u);
    if (record::Record* record = connections_->find(id_)) connections_->close_now(*record);
    turn();
    seen_.body.clear();
    ASSERT_EQ(layer_->in_flight(), 0u);
  }
}

}  // namespace
}  // namespace beamgate::http
