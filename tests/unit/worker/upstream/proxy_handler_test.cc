// The proxy against an origin played by hand: what each side sees when the other is ordinary, slow, early,
// dead or gone, and that nothing is repeated that may not be.
#include "worker/upstream/proxy_handler.h"

#include <unistd.h>

#include "tests/unit/worker/upstream/proxy_harness.h"

namespace beamgate::upstream {
namespace {

using metrics::Metric;

constexpr std::string_view kEmptyReply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

TEST_F(ProxyTest, PassesARequestAndItsResponse) {
  FakeExchange& client = get("/a?b");
  const UniqueFd socket = accept(*origin_);
  EXPECT_TRUE(read_until(socket, "\r\n\r\n").starts_with("GET /a?b HTTP/1.1\r\nHost: app\r\n"));
  write_all(socket, "HTTP/1.1 201 Made\r\nX-A: b\r\nConnection: x-gone\r\nX-Gone: 1\r\nContent-Length: 2\r\n\r\nhi");
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.head.status, 201);
  EXPECT_EQ(client.field("X-A"), "b");
  EXPECT_EQ(client.field("X-Gone"), "-");
  EXPECT_EQ(client.head.content_length, 2u);
  EXPECT_EQ(client.body, "hi");
  EXPECT_EQ(handler_.active(), 0u);
}

TEST_F(ProxyTest, KeepsAndReusesConnections) {
  const UniqueFd socket = serve_once(*origin_);
  for (int i = 0; i < 5; ++i) {
    FakeExchange& client = get();
    EXPECT_NE(read_until(socket, "\r\n\r\n"), "");
    write_all(socket, kEmptyReply);
    pump_until([&] { return client.finished; });
  }
  EXPECT_EQ(opened(), 1u);
}

TEST_F(ProxyTest, ClosesAfterItsShareOfRequests) {
  upstream_->keepalive_requests = 1;
  EXPECT_TRUE(reads_end(serve_once(*origin_)));
}

TEST_F(ProxyTest, ClosesWhenTheOriginSaysSo) {
  FakeExchange& client = get();
  const UniqueFd socket = accept(*origin_);
  read_until(socket, "\r\n\r\n");
  write_all(socket, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  pump_until([&] { return client.finished; });
  EXPECT_TRUE(reads_end(socket));
}

TEST_F(ProxyTest, KeepsNoMoreIdleConnectionsThanAllowed) {
  upstream_->keepalive = 1;
  FakeExchange& one = get();
  const UniqueFd first = accept(*origin_);
  FakeExchange& two = get();
  const UniqueFd second = accept(*origin_);
  write_all(first, kEmptyReply);
  write_all(second, kEmptyReply);
  pump_until([&] { return one.finished && two.finished; });
  int ended = 0;
  std::string got;
  pump_until([&] { return (ended = !read_some(first, got) + !read_some(second, got)) > 0; });
  EXPECT_EQ(ended, 1);
}

TEST_F(ProxyTest, IdleConnectionsTimeOut) {
  upstream_->keepalive_timeout_ms = 1;
  EXPECT_TRUE(reads_end(serve_once(*origin_)));
}

TEST_F(ProxyTest, AConnectionClosedWhileIdleIsForgotten) {
  serve_once(*origin_).reset();
  for (int i = 0; i < 3; ++i) turn();
  FakeExchange& client = with_length("POST", 0);
  const UniqueFd socket = accept(*origin_);
  read_until(socket, "\r\n\r\n");
  write_all(socket, kEmptyReply);
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.head.status, 200);
}

TEST_F(ProxyTest, UnaskedBytesOnAnIdleConnectionEndIt) {
  const UniqueFd socket = serve_once(*origin_);
  write_all(socket, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  EXPECT_TRUE(reads_end(socket));
}

// The origin closes a reused connection just as a request arrives on it.
TEST_F(ProxyTest, AnIdempotentRequestIsRepeatedOnAFreshConnection) {
  UniqueFd socket = serve_once(*origin_);
  FakeExchange& client = with_length("PUT", 4);
  EXPECT_EQ(client.give_body("body"), 4u);
  client.end_body();
  EXPECT_TRUE(read_until(socket, "body").starts_with("PUT "));
  socket.reset();
  const UniqueFd fresh = accept(*origin_);
  EXPECT_TRUE(read_until(fresh, "body").starts_with("PUT "));
  write_all(fresh, kEmptyReply);
  pump_until([&] { return client.finished; });
  EXPECT_EQ(opened(), 2u);
}

TEST_F(ProxyTest, AnythingElseIsNotRepeated) {
  UniqueFd socket = serve_once(*origin_);
  FakeExchange& client = with_length("POST", 0);
  EXPECT_TRUE(read_until(socket, "\r\n\r\n").starts_with("POST "));
  socket.reset();
  pump_until([&] { return client.over; });
  EXPECT_EQ(client.head.status, 502);
  EXPECT_FALSE(origin_->accept().valid());
  EXPECT_EQ(opened(), 1u);
}

TEST_F(ProxyTest, NothingIsRepeatedOnceAResponseHasBegun) {
  UniqueFd socket = serve_once(*origin_);
  FakeExchange& client = get();
  read_until(socket, "\r\n\r\n");
  write_all(socket, "HTTP/1.1 2");
  socket.reset();
  pump_until([&] { return client.over; });
  EXPECT_EQ(client.head.status, 502);
  EXPECT_FALSE(origin_->accept().valid());
}

TEST_F(ProxyTest, AServerThatRefusesIsPassedOver) {
  auto dead = Origin::tcp();
  upstream_->servers.insert(upstream_->servers.begin(), {dead->address()});
  dead->close();
  FakeExchange& client = with_length("POST", 2);
  client.give_body("ok");
  client.end_body();
  const UniqueFd socket = accept(*origin_);
  EXPECT_TRUE(read_until(socket, "ok").starts_with("POST "));
  write_all(socket, kEmptyReply);
  pump_until([&] { return client.finished; });
  EXPECT_EQ(counted(Metric::UpstreamFailuresConnect), 1u);
}

TEST_F(ProxyTest, WithoutAnyServerItIsABadGateway) {
  origin_->close();
  FakeExchange& client = get();
  pump_until([&] { return client.over; });
  EXPECT_EQ(client.head.status, 502);
  EXPECT_EQ(handler_.active(), 0u);
}

TEST_F(ProxyTest, ASilentOriginTimesOut) {
  location_.proxy.read_timeout_ms = 1;
  FakeExchange& client = get();
  const UniqueFd socket = accept(*origin_);
  pump_until([&] { return client.over; });
  EXPECT_EQ(client.head.status, 504);
  EXPECT_EQ(counted(Metric::UpstreamFailuresTimeout), 1u);
}

TEST_F(ProxyTest, AnOriginThatStopsMidwayTimesOutIntoACut) {
  FakeExchange& client = get();
  const UniqueFd socket = accept(*origin_);
  read_until(socket, "\r\n\r\n");
  write_all(socket, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
  pump_until([&] { return client.body == "ha"; });
  location_.proxy.read_timeout_ms = 1;  // From the next byte on.
  write_all(socket, "l");
  pump_until([&] { return client.over; });
  EXPECT_TRUE(client.aborted);
  EXPECT_EQ(client.body, "hal");
}

TEST_F(ProxyTest, AnOriginThatDoesNotReadTimesOut) {
  location_.proxy.send_timeout_ms = 1;
  FakeExchange& client = with_length("POST", 1 << 30);
  const UniqueFd socket = accept(*origin_);
  const std::string piece(64 << 10, 'x');
  pump_until([&] { return client.over || client.give_body(piece) < piece.size(); });
  pump_until([&] { return client.over; });
  EXPECT_EQ(client.head.status, 504);
}

TEST_F(ProxyTest, TruncatedResponsesAreCut) {
  for (const char* text : {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"}) {
    FakeExchange& client = get();
    UniqueFd socket = accept(*origin_);
    read_until(socket, "\r\n\r\n");
    write_all(socket, text);
    pump_until([&] { return !client.body.empty(); });
    socket.reset();
    pump_until([&] { return client.over; });
    EXPECT_TRUE(client.aborted && !client.finished) << text;
  }
  EXPECT_EQ(counted(Metric::UpstreamFailuresClosed), 2u);
}

TEST_F(ProxyTest, InvalidResponsesAreABadGateway) {
  for (const char* text : {"garbage\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}) {
    FakeExchange& client = get();
    const UniqueFd socket = accept(*origin_);
    read_until(socket, "\r\n\r\n");
    write_all(socket, text);
    pump_until([&] { return client.over; });
    EXPECT_EQ(client.head.status, 502) << text;
    EXPECT_TRUE(reads_end(socket));
  }
  EXPECT_EQ(counted(Metric::UpstreamFailuresMalformed), 3u);
}

TEST_F(ProxyTest, AWholeChunkedBodyGetsALength) {
  FakeExchange& client = get();
  const UniqueFd socket = accept(*origin_);
  read_until(socket, "\r\n\r\n");
  write_all(socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.head.content_length, 5u);
  EXPECT_EQ(client.body, "hello");
}

TEST_F(ProxyTest, HeadGetsTheLengthWithoutTheBody) {
  FakeExchange& client = handle(exchange("HEAD"));
  const UniqueFd socket = accept(*origin_);
  read_until(socket, "\r\n\r\n");
  write_all(socket, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.head.content_length, 500u);
  EXPECT_EQ(client.body, "");
}

TEST_F(ProxyTest, TunnelsAndTracesAreRefused) {
  EXPECT_EQ(handle(exchange("CONNECT")).head.status, 405);
  EXPECT_EQ(handle(exchange("TRACE")).head.status, 405);
  EXPECT_EQ(opened(), 0u);
  EXPECT_EQ(counted(Metric::RequestsRefusedNotPassedOn), 2u);
}

TEST_F(ProxyTest, WhatCantBeWrittenAnewIsRefused) {
  std::string names = "x";
  for (int i = 0; i < 1'000; ++i) names += ",x" + std::to_string(i);
  FakeExchange& client = exchange();
  client.request_.fields.push_back({"Connection", names});
  EXPECT_EQ(handle(client).head.status, 400);
  EXPECT_EQ(opened(), 0u);
  EXPECT_EQ(counted(Metric::RequestsRefusedNotPassedOn), 1u);
}

TEST_F(ProxyTest, ASmallBodyIsCompleteBeforeTheOriginIsAsked) {
  FakeExchange& client = with_length("POST", 8);
  EXPECT_EQ(client.give_body("half"), 4u);
  for (int i = 0; i < 3; ++i) turn();
  EXPECT_FALSE(origin_->accept().valid());
  EXPECT_EQ(client.give_body("half"), 4u);
  client.end_body();
  const UniqueFd socket = accept(*origin_);
  EXPECT_TRUE(read_until(socket, "halfhalf").ends_with("\r\n\r\nhalfhalf"));
  write_all(socket, kEmptyReply);
  pump_until([&] { return client.finished; });
}

TEST_F(ProxyTest, ChunksAreFramedAnewAndStreamed) {
  FakeExchange& client = with_chunks("POST");
  const UniqueFd socket = accept(*origin_);
  client.give_body("abc");
  EXPECT_TRUE(read_until(socket, "3\r\nabc\r\n").ends_with("\r\n\r\n3\r\nabc\r\n"));
  client.give_body("0123456789abcdefg");
  client.end_body();
  EXPECT_EQ(read_until(socket, "0\r\n\r\n"), "11\r\n0123456789abcdefg\r\n0\r\n\r\n");
  write_all(socket, kEmptyReply);
  pump_until([&] { return client.finished; });
}

TEST_F(ProxyTest, ASlowOriginPausesTheClientsBody) {
  constexpr size_t kTotal = 32 << 20;
  FakeExchange& client = with_length("POST", kTotal);
  const UniqueFd socket = accept(*origin_);
  const std::string piece(64 << 10, 'x');
  size_t given = 0;
  bool paused = false;
  pump_until([&] {
    const size_t taken = client.give_body(piece);
    given += taken;
    return paused = taken < piece.size();
  });
  ASSERT_TRUE(paused && given < kTotal);
  EXPECT_EQ(client.resumed, 0);
  // Once the origin reads, the rest comes; each pause is answered by one resume.
  std::string got;
  int pauses = 1;
  pump_until([&] {
    read_some(socket, got);
    while (client.resumed == pauses && given < kTotal) {
      const std::string_view rest = std::string_view(piece).substr(0, std::min(piece.size(), kTotal - given));
      const size_t taken = client.give_body(rest);
      given += taken;
      if (taken < rest.size()) ++pauses;
    }
    return given == kTotal;
  });
  client.end_body();
  pump_until([&] {
    read_some(socket, got);
    return got.size() >= kTotal;
  });
  write_all(socket, kEmptyReply);
  pump_until([&] { return client.finished; });
  EXPECT_EQ(got.size() - got.find("\r\n\r\n") - 4, kTotal);
}

TEST_F(ProxyTest, ASlowClientPausesTheOrigin) {
  constexpr size_t kTotal = 32 << 20;
  FakeExchange& client = get();
  const UniqueFd socket = accept(*origin_);
  read_until(socket, "\r\n\r\n");
  write_all(socket, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kTotal) + "\r\n\r\n");
  const std::string piece(64 << 10, 'x');
  size_t sent = 0;
  int blocked = 0;
  pump_until([&] {
    const ssize_t part = send(socket.get(), piece.data(), std::min(piece.size(), kTotal - sent), MSG_NOSIGNAL);
    blocked = part < 0 ? blocked + 1 : 0;
    if (part > 0) sent += static_cast<size_t>(part);
    return blocked == 20;
  });
  EXPECT_LT(sent, kTotal);
  EXPECT_LE(client.queued_most, client.window + ProxyHandler::kLandingBytes);
  pump_until([&] {
    client.drain();
    const ssize_t part = send(socket.get(), piece.data(), std::min(piece.size(), kTotal - sent), MSG_NOSIGNAL);
    if (part > 0) sent += static_cast<size_t>(part);
    return client.finished;
  });
  EXPECT_EQ(client.body.size(), kTotal);
  EXPECT_LE(client.queued_most, client.window + ProxyHandler::kLandingBytes);
}

TEST_F(ProxyTest, AnEarlyAnswerReachesTheClient) {
  FakeExchange& client = with_length("POST", 64 << 20);
  UniqueFd socket = accept(*origin_);
  const std::string piece(64 << 10, 'x');
  pump_until([&] { return client.give_body(piece) < piece.size(); });
  write_all(socket, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
  socket.reset();  // With a body unread: a reset follows the answer.
  pump_until([&] { return client.over; });
  EXPECT_TRUE(client.finished);
  EXPECT_EQ(client.head.status, 413);
  EXPECT_EQ(client.body, "no");
}

TEST_F(ProxyTest, AnAnswerMayStreamWhileTheRequestDoes) {
  FakeExchange& client = with_chunks("POST");
  const UniqueFd socket = accept(*origin_);
  client.give_body("one");
  read_until(socket, "one\r\n");
  write_all(socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nONE\r\n");
  pump_until([&] { return client.body == "ONE"; });
  client.give_body("two");
  read_until(socket, "two\r\n");
  client.end_body();
  read_until(socket, "0\r\n\r\n");
  write_all(socket, "3\r\nTWO\r\n0\r\n\r\n");
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.body, "ONETWO");
}

TEST_F(ProxyTest, AClientThatGoesTakesItsLegAlong) {
  FakeExchange& waiting = get();
  const UniqueFd first = accept(*origin_);
  waiting.lose();
  EXPECT_TRUE(reads_end(first));
  FakeExchange& sending = with_length("POST", 1 << 20);
  const UniqueFd second = accept(*origin_);
  sending.give_body("part");
  sending.lose();
  EXPECT_TRUE(reads_end(second));
  EXPECT_EQ(handler_.active(), 0u);
}

TEST_F(ProxyTest, AClientMayGoInTheMiddleOfAnyCall) {
  for (const char* call : {"begin", "write"}) {
    FakeExchange& client = get();
    client.dies_in = call;
    const UniqueFd socket = accept(*origin_);
    read_until(socket, "\r\n\r\n");
    write_all(socket, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    pump_until([&] { return client.over; });
    EXPECT_EQ(handler_.active(), 0u) << call;
    EXPECT_TRUE(reads_end(socket));
  }
}

TEST_F(ProxyTest, TheNextRequestMayBeginWhileTheLastFinishes) {
  FakeExchange& first = get();
  FakeExchange* second = nullptr;
  first.on_finish = [&] { second = &get("/second"); };
  const UniqueFd socket = accept(*origin_);
  read_until(socket, "\r\n\r\n");
  write_all(socket, kEmptyReply);
  EXPECT_TRUE(read_until(socket, "\r\n\r\n").starts_with("GET /second"));
  write_all(socket, kEmptyReply);
  pump_until([&] { return second->finished; });
  EXPECT_EQ(opened(), 1u);
}

TEST_F(ProxyTest, SpeaksOverUnixSockets) {
  const std::string path = testing::TempDir() + "/proxy-" + std::to_string(getpid()) + ".sock";
  auto origin = Origin::unix_socket(path);
  upstream_->servers = {{origin->address()}};
  const UniqueFd socket = serve_once(*origin);
  unlink(path.c_str());
  FakeExchange& again = get();
  read_until(socket, "\r\n\r\n");
  write_all(socket, kEmptyReply);
  pump_until([&] { return again.finished; });
  EXPECT_EQ(opened(), 1u);
}

}  // namespace
}  // namespace beamgate::upstream
