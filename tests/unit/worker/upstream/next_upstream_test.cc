// Passing a request to another server: for what, how often, and with how much of the request; and that a client
// sees one response, and an origin nothing twice that could have had an effect.
#include "tests/unit/worker/upstream/proxy_harness.h"

namespace beamgate::upstream {
namespace {

constexpr std::string_view kEmptyAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
constexpr std::string_view kUnavailable = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";

class NextUpstream : public ProxyTest {
 protected:
  // The request has reached the first server; this is its connection.
  UniqueFd first(FakeExchange&) {
    UniqueFd socket = accept(*origin_);
    read_until(socket, "\r\n\r\n");
    return socket;
  }

  std::unique_ptr<Origin> other_ = add_origin();
};

TEST_F(NextUpstream, AStatusThatIsListed) {
  location_.proxy.next_upstream |= config::kNext503;
  FakeExchange& client = get("/a");
  write_all(first(client), kUnavailable);
  const UniqueFd socket = accept(*other_);
  EXPECT_TRUE(read_until(socket, "\r\n\r\n").starts_with("GET /a "));
  write_all(socket, kEmptyAnswer);
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.head.status, 200);
  EXPECT_EQ(client.body, "");
  EXPECT_EQ(metrics_->get(metrics::Metric::UpstreamRetries), 1u);
}

TEST_F(NextUpstream, AStatusThatIsNotListedIsTheAnswer) {
  FakeExchange& client = get();
  write_all(first(client), kUnavailable);
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.head.status, 503);
  EXPECT_EQ(client.body, "busy");
  EXPECT_FALSE(other_->accept().valid());
}

TEST_F(NextUpstream, TheLastServersStatusIsTheAnswer) {
  location_.proxy.next_upstream = config::kNext503;
  FakeExchange& client = get();
  write_all(first(client), kUnavailable);
  const UniqueFd socket = accept(*other_);
  read_until(socket, "\r\n\r\n");
  write_all(socket, kUnavailable);
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.head.status, 503);
  EXPECT_EQ(client.body, "busy");
}

TEST_F(NextUpstream, WhatTheServerIsToBlameForIsAFailure) {
  location_.proxy.next_upstream = config::kNext503 | config::kNext404;
  for (const std::string_view answer : {kUnavailable, std::string_view("HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n")}) {
    FakeExchange& client = with_length("POST", 0);
    UniqueFd socket;
    pump_until([&] { return (socket = origin_->accept()).valid() || (socket = other_->accept()).valid(); });
    read_until(socket, "\r\n\r\n");
    write_all(socket, answer);
    pump_until([&] { return client.finished; });
  }
  EXPECT_EQ(counted(metrics::Metric::UpstreamFailuresStatus), 1u);
}

TEST_F(NextUpstream, APostIsNotRepeatedForAStatus) {
  location_.proxy.next_upstream = config::kNext503;
  FakeExchange& client = with_length("POST", 0);
  write_all(first(client), kUnavailable);
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.head.status, 503);
}

TEST_F(NextUpstream, UnlessItMayBe) {
  location_.proxy.next_upstream = config::kNext503 | config::kNextNonIdempotent;
  FakeExchange& client = with_length("POST", 4);
  client.give_body("body");
  client.end_body();
  UniqueFd socket = accept(*origin_);
  read_until(socket, "body");
  write_all(socket, kUnavailable);
  socket = accept(*other_);
  EXPECT_TRUE(read_until(socket, "body").starts_with("POST / "));
  write_all(socket, kEmptyAnswer);
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.head.status, 200);
}

TEST_F(NextUpstream, ATimeout) {
  location_.proxy.read_timeout_ms = 1;
  FakeExchange& client = get();
  const UniqueFd silent = first(client);
  const UniqueFd socket = accept(*other_);
  read_until(socket, "\r\n\r\n");
  EXPECT_TRUE(reads_end(silent));
  write_all(socket, kEmptyAnswer);
  pump_until([&] { return client.over; });
  // Its own timeout is as short; whichever comes first, the client gets one whole answer.
  EXPECT_TRUE(client.head.status == 200 || client.head.status == 504);
}

TEST_F(NextUpstream, ATimeoutEndsAPost) {
  location_.proxy.read_timeout_ms = 1;
  FakeExchange& client = with_length("POST", 0);
  const UniqueFd silent = first(client);
  pump_until([&] { return client.over; });
  EXPECT_EQ(client.head.status, 504);
  EXPECT_FALSE(other_->accept().valid());
}

TEST_F(NextUpstream, HalfAHeadIsAnErrorAndGarbageIsInvalid) {
  FakeExchange& client = get();
  UniqueFd socket = first(client);
  write_all(socket, "HTTP/1.1 200 OK\r\nContent-");
  socket.reset();
  socket = accept(*other_);
  read_until(socket, "\r\n\r\n");
  write_all(socket, "garbage\r\n\r\n");  // Not listed.
  pump_until([&] { return client.over; });
  EXPECT_EQ(client.head.status, 502);
}

TEST_F(NextUpstream, AnInvalidHeaderWhenListed) {
  location_.proxy.next_upstream = config::kNextInvalidHeader;
  FakeExchange& client = get();
  write_all(first(client), "garbage\r\n\r\n");
  const UniqueFd socket = accept(*other_);
  read_until(socket, "\r\n\r\n");
  write_all(socket, kEmptyAnswer);
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.head.status, 200);
}

TEST_F(NextUpstream, OffIsNever) {
  location_.proxy.next_upstream = 0;
  origin_->close();
  FakeExchange& client = get();
  pump_until([&] { return client.over; });
  EXPECT_EQ(client.head.status, 502);
  EXPECT_FALSE(other_->accept().valid());
}

TEST_F(NextUpstream, NoMoreTriesThanAllowed) {
  location_.proxy.next_upstream_tries = 1;
  FakeExchange& client = get();
  first(client).reset();
  pump_until([&] { return client.over; });
  EXPECT_EQ(client.head.status, 502);
  EXPECT_FALSE(other_->accept().valid());
}

TEST_F(NextUpstream, ALargeBodyIsRepeatedOnlyWhenItIsHeld) {
  for (const bool held : {false, true}) {
    location_.proxy.request_buffering = held;
    const std::string body(300'000, 'x');
    FakeExchange& client = with_length("PUT", body.size());
    size_t given = 0;
    std::string got;
    UniqueFd socket;
    const auto push = [&] {
      if (!client.over && given < body.size()) given += client.give_body(std::string_view(body).substr(given));
      if (!client.over && given == body.size()) client.end_body();
    };
    push();
    if (!held) {
      pump_until([&] { return (socket = origin_->accept()).valid(); });
      pump_until([&] { return push(), read_some(socket, got), got.size() > 250'000; });
      socket.reset();
      pump_until([&] { return client.over; });
      EXPECT_EQ(client.head.status, 502);
      continue;
    }
    EXPECT_EQ(given, body.size());
    Origin* next = other_.get();
    pump_until([&] {
      // Whose turn it is depends on what failed before.
      if ((socket = origin_->accept()).valid()) return true;
      return (socket = other_->accept()).valid() && (next = origin_.get(), true);
    });
    pump_until([&] { return read_some(socket, got), got.size() > 100'000; });
    socket.reset();
    socket = accept(*next);
    got.clear();
    pump_until([&] { return read_some(socket, got), got.ends_with("x") && got.size() > body.size(); });
    EXPECT_EQ(got.substr(got.find("\r\n\r\n") + 4), body);
    EXPECT_NE(got.find("Content-Length: 300000\r\n"), std::string::npos);
    write_all(socket, kEmptyAnswer);
    pump_until([&] { return client.finished; });
  }
}

TEST_F(NextUpstream, AHeldBodyInChunksGetsItsLength) {
  location_.proxy.request_buffering = true;
  FakeExchange& client = with_chunks("POST");
  EXPECT_EQ(client.give_body("some "), 5u);
  EXPECT_EQ(client.give_body("body"), 4u);
  for (int i = 0; i < 3; ++i) turn();
  EXPECT_EQ(opened(), 0u);
  client.end_body();
  const UniqueFd socket = accept(*origin_);
  const std::string got = read_until(socket, "body");
  EXPECT_NE(got.find("Content-Length: 9\r\n"), std::string::npos) << got;
  EXPECT_EQ(got.find("chunked"), std::string::npos);
  EXPECT_TRUE(got.ends_with("\r\n\r\nsome body"));
  write_all(socket, kEmptyAnswer);
  pump_until([&] { return client.finished; });
}

TEST_F(NextUpstream, ABodyThatCantBeHeldIsAnError) {
  location_.proxy.request_buffering = true;
  location_.proxy.temp_path = "/nowhere/at/all";
  location_.proxy.buffer_bytes = 4'096;
  FakeExchange& client = with_length("POST", 10'000);
  EXPECT_EQ(client.give_body(std::string(10'000, 'x')), 10'000u);
  EXPECT_EQ(client.head.status, 500);
  EXPECT_TRUE(client.over);
  EXPECT_EQ(counted(metrics::Metric::RequestsRefusedBodyLost), 1u);
}

TEST_F(NextUpstream, InterimResponsesAndTrailersArePassedOn) {
  location_.proxy.pass_trailers = true;
  FakeExchange& client = get();
  write_all(first(client),
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"
            "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n");
  pump_until([&] { return client.finished; });
  EXPECT_EQ(client.informed, "103 Link=</a>;");
  EXPECT_EQ(client.body, "hi");
  EXPECT_FALSE(client.head.content_length.has_value());
  ASSERT_EQ(client.trailers.size(), 1u);
  EXPECT_EQ(client.trailers[0].name + client.trailers[0].value, "X-Sum1");
}

TEST_F(NextUpstream, TrailersStayBehindUnlessAskedFor) {
  FakeExchange& client = get();
  write_all(first(client),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n");
  pump_until([&] { return client.finished; });
  EXPECT_TRUE(client.trailers.empty());
  EXPECT_EQ(client.head.content_length, 2u);
}

}  // namespace
}  // namespace beamgate::upstream
