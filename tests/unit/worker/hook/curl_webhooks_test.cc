// Webhooks over real sockets: an application that answers, and applications that are down, slow, hang in the
// middle, talk nonsense or never stop talking.  For each the rule must hold: the right outcome in time, and
// memory that stays within reply_bytes_max.
#include "worker/hook/curl_webhooks.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "common/base/clock.h"
#include "tests/unit/worker/hook/tiny_server.h"
#include "worker/record/arena.h"

namespace beamgate::hook {
namespace {

using metrics::Metric;

size_t resident_bytes() {
  size_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

class CurlWebhooksTest : public testing::Test {
 protected:
  CurlWebhooksTest() : arena_(std::move(record::Arena::map(UniqueFd(), 4)).value()), guard_(loop_, [] { FAIL() << "stuck"; }) {
    config_->name = "app";
    config_->timeout_ms = 5'000;
    config_->breaker_failures = 0;
    webhooks_ = std::make_unique<CurlWebhooks>(loop_, arena_, log_, page_);
  }

  Webhooks::CallId start(std::string_view body, std::vector<Reply>& replies) {
    Call call;
    call.endpoint = config_;
    call.type = "beamgate.message";
    call.id = "msg_1";
    call.content_type = "text/plain; charset=utf-8";
    call.body = body;
    return webhooks_->call(call, [&replies](const Reply& reply) { replies.push_back(reply); });
  }

  template <typename Condition>
  void run_until(Condition&& condition) {
    guard_.start(20'000);
    look_.start_repeating(1);  // Conditions come true before the loop waits, or in the server's threads.
    while (!condition() && guard_.active()) loop_.run_once(true);
    look_.stop();
    guard_.stop();
  }

  Reply call(std::string_view body = "hello") {
    std::vector<Reply> replies;
    start(body, replies);
    run_until([&] { return !replies.empty(); });
    return replies.empty() ? Reply{} : replies.front();
  }

  // These, and none for another reason.
  void expect_failures(const std::map<Metric, uint64_t>& expected) {
    std::map<Metric, uint64_t> counted;
    for (auto at = static_cast<uint16_t>(Metric::WebhookFailuresConnect);
         at <= static_cast<uint16_t>(Metric::WebhookFailuresBreaker); ++at) {
      if (const uint64_t times = page_.get(static_cast<Metric>(at))) counted[static_cast<Metric>(at)] = times;
    }
    EXPECT_EQ(counted, expected);
  }

  uv::Loop loop_;
  record::Arena arena_;
  log::Log log_{"test"};
  metrics::Page page_{};
  std::shared_ptr<config::Webhook> config_ = std::make_shared<config::Webhook>();
  std::unique_ptr<CurlWebhooks> webhooks_;
  uv::Timer guard_;
  uv::Timer look_{loop_, [] {}};
};

TEST_F(CurlWebhooksTest, ACallAndItsReply) {
  TinyServer server([](const std::string&, const std::string& body) {
    return ok("you said " + body, "Content-Type: text/plain\r\nBeamgate-User: ann\r\n");
  });
  config_->url = server.url();
  config_->secrets = {"key"};
  const Reply reply = call();
  EXPECT_TRUE(reply.accepted());
  EXPECT_EQ(reply.body, "you said hello");
  EXPECT_EQ(reply.actions.user, "ann");
  ASSERT_EQ(reply.actions.send.size(), 1u);
  EXPECT_FALSE(reply.actions.send[0].binary);
  const std::string head = server.heads().front();
  EXPECT_TRUE(head.starts_with("POST /hook HTTP/1.1\r\n"));
  for (const char* field : {"\r\nce-type: beamgate.message\r\n", "\r\nwebhook-signature: v1,", "\r\nce-specversion: 1.0\r\n",
                            "\r\ncontent-type: text/plain; charset=utf-8\r\n", "\r\nContent-Length: 5\r\n"}) {
    EXPECT_NE(head.find(field), std::string::npos) << field << head;
  }
  for (const char* field : {"\r\nAccept:", "\r\nExpect:", "urlencoded"}) EXPECT_EQ(head.find(field), std::string::npos);
}

TEST_F(CurlWebhooksTest, ConnectionsAreKept) {
  TinyServer server([](const std::string&, const std::string& body) { return ok(body); });
  config_->url = server.url();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(call(std::to_string(i)).body, std::to_string(i));
  EXPECT_EQ(server.connections(), 1u);
}

TEST_F(CurlWebhooksTest, AKeptConnectionThatTheApplicationClosedIsReplaced) {
  TinyServer server([](const std::string&, const std::string& body) {
    Answer answer = ok(body);
    answer.then = Answer::Then::Close;
    return answer;
  });
  config_->url = server.url();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(call().accepted());
}

TEST_F(CurlWebhooksTest, OverAUnixSocket) {
  const std::string path = testing::TempDir() + "bg" + std::to_string(getpid()) + ".sock";
  TinyServer server([](const std::string&, const std::string& body) { return ok(body); }, path);
  config_->url = "http://application/hook";
  config_->unix_socket = path;
  EXPECT_EQ(call("big" + std::string(300'000, 'x')).body.size(), 300'003u);
  unlink(path.c_str());
}

TEST_F(CurlWebhooksTest, StatusesAreTheApplicationsWord) {
  TinyServer server([](const std::string&, const std::string& body) {
    return status(std::stoi(body), "Retry-After: 2\r\nLocation: http://127.0.0.1:1/\r\n");
  });
  config_->url = server.url();
  for (const int code : {204, 302, 403, 429, 500, 503}) {
    const Reply reply = call(std::to_string(code));
    EXPECT_EQ(reply.outcome, Outcome::Answered);
    EXPECT_EQ(reply.status, code);
    EXPECT_EQ(reply.retry_after_ms, 2000);
  }
  EXPECT_EQ(server.requests(), 6u);  // The redirect was not followed.
  expect_failures({{Metric::WebhookFailuresStatus, 3}});  // 302, 500 and 503: no answer to what was asked.
}

TEST_F(CurlWebhooksTest, OfAMessageMost4xxAreNoAnswer) {
  TinyServer server([](const std::string&, const std::string& body) {
    return status(std::stoi(body), body == "429" ? "Retry-After: 0\r\n" : "");
  });
  config_->url = server.url();
  const auto failures_after = [&](const char* code) {
    std::vector<Reply> replies;
    Call call{.endpoint = config_, .type = "beamgate.message", .body = code, .refusals = Refusals::Denials};
    webhooks_->call(call, [&replies](const Reply& reply) { replies.push_back(reply); });
    run_until([&] { return !replies.empty(); });
    return page_.get(Metric::WebhookFailuresStatus);
  };
  for (const char* code : {"401", "403", "429", "204"}) EXPECT_EQ(failures_after(code), 0u) << code;
  EXPECT_EQ(failures_after("404"), 1u);
  EXPECT_EQ(failures_after("410"), 2u);
}

TEST_F(CurlWebhooksTest, EventsAreTakenByTheStatusAlone) {
  std::string type = "Content-Type: text/plain\r\n";
  std::string body(2000, 'x');
  TinyServer server([&](const std::string&, const std::string&) { return ok(body, type); });
  config_->url = server.url();
  config_->reply_bytes_max = 1000;
  config_->batch_delay_ms = 1;
  const auto deliver = [this] {
    Event event;
    event.endpoint = config_;
    event.type = "beamgate.connected";
    EXPECT_TRUE(webhooks_->post(event));
    run_until([&] { return webhooks_->events_waiting() == 0; });
  };
  deliver();
  type = "Content-Type: application/vnd.beamgate+json\r\n";
  body = "{";
  deliver();
  EXPECT_EQ(server.requests(), 2u);
  EXPECT_EQ(page_.get(Metric::WebhookRetries), 0u);
  expect_failures({});
}

TEST_F(CurlWebhooksTest, WhoIsNotThereIsUnreachable) {
  { TinyServer server([](const std::string&, const std::string&) { return ok(""); });
    config_->url = server.url(); }
  EXPECT_EQ(call().outcome, Outcome::Unreachable);
  config_->unix_socket = "/nonexistent/socket";
  config_ = std::make_shared<config::Webhook>(*config_);
  EXPECT_EQ(call().outcome, Outcome::Unreachable);
  expect_failures({{Metric::WebhookFailuresConnect, 2}});
}

TEST_F(CurlWebhooksTest, WhoHangsTimesOut) {
  TinyServer server([](const std::string&, const std::string& body) {
    Answer answer{body == "silent" ? "" : "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of"};
    answer.then = Answer::Then::Hang;
    return answer;
  });
  config_->url = server.url();
  config_->timeout_ms = 200;
  for (const char* how : {"silent", "mid-reply"}) {
    const int64_t begun = monotonic_ms();
    EXPECT_EQ(call(how).outcome, Outcome::TimedOut) << how;
    EXPECT_LT(monotonic_ms() - begun, 2'000);
  }
  expect_failures({{Metric::WebhookFailuresTimeout, 2}});
}

TEST_F(CurlWebhooksTest, WhoBreaksOffIsUnreachable) {
  TinyServer server([](const std::string&, const std::string& body) {
    Answer answer{body == "nothing" ? "" : "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of"};
    answer.then = Answer::Then::Close;
    return answer;
  });
  config_->url = server.url();
  EXPECT_EQ(call("nothing").outcome, Outcome::Unreachable);
  EXPECT_EQ(call("mid-reply").outcome, Outcome::Unreachable);
  expect_failures({{Metric::WebhookFailuresClosed, 2}});
}

TEST_F(CurlWebhooksTest, NonsenseIsMalformed) {
  TinyServer server([](const std::string&, const std::string& body) -> Answer {
    if (body == "actions") return ok("{\"usr\":1}", "Content-Type: application/vnd.beamgate+json\r\n");
    return {"\x01\x02garbage, not HTTP at all\r\n\r\n", Answer::Then::Close};
  });
  config_->url = server.url();
  EXPECT_EQ(call("wire").outcome, Outcome::Malformed);
  EXPECT_EQ(call("actions").outcome, Outcome::Malformed);
  expect_failures({{Metric::WebhookFailuresMalformed, 2}});
}

TEST_F(CurlWebhooksTest, WhoNeverStopsIsCutOff) {
  TinyServer server([](const std::string&, const std::string& body) {
    std::string head = "HTTP/1.1 200 OK\r\n";
    if (body == "announced") head += "Content-Length: 100000000\r\n";
    if (body == "head") head += "X: ";
    return Answer{body == "head" ? head : head + "\r\n", Answer::Then::Flood};
  });
  config_->url = server.url();
  config_->reply_bytes_max = 1 << 20;
  for (const char* how : {"announced", "until close", "head"}) EXPECT_EQ(call(how).outcome, Outcome::TooBig) << how;
  expect_failures({{Metric::WebhookFailuresTooLarge, 3}});
}

TEST_F(CurlWebhooksTest, AHundredMegabytesCostNoMemory) {
  TinyServer server([](const std::string&, const std::string&) {
    return Answer{"HTTP/1.1 200 OK\r\n\r\n", Answer::Then::Flood};
  });
  config_->url = server.url();
  config_->reply_bytes_max = 1000;
  EXPECT_TRUE(call().body.empty());
  const size_t before = resident_bytes();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(call().outcome, Outcome::TooBig);
  EXPECT_LT(resident_bytes(), before + (32 << 20));
}

TEST_F(CurlWebhooksTest, ConcurrencyAndQueueHaveLimits) {
  TinyServer server([](const std::string&, const std::string&) { return Answer{"", Answer::Then::Hang}; });
  config_->url = server.url();
  config_->concurrency = 2;
  config_->queue = 3;
  config_->timeout_ms = 400;
  std::vector<Reply> replies;
  for (int i = 0; i < 6; ++i) start("x", replies);
  EXPECT_TRUE(replies.empty());  // Refusals, too, are told later.
  EXPECT_EQ(webhooks_->endpoint("app")->in_flight(), 2u);
  EXPECT_EQ(webhooks_->endpoint("app")->waiting(), 3u);
  run_until([&] { return replies.size() == 1; });
  EXPECT_EQ(replies[0].outcome, Outcome::Overloaded);
  run_until([&] { return replies.size() == 6; });
  for (size_t at = 1; at < 6; ++at) EXPECT_EQ(replies[at].outcome, Outcome::TimedOut);
  expect_failures({{Metric::WebhookFailuresQueueFull, 1}, {Metric::WebhookFailuresTimeout, 5}});
}

TEST_F(CurlWebhooksTest, WhatWaitsGoesInOrder) {
  TinyServer server([](const std::string&, const std::string& body) { return ok(body); });
  config_->url = server.url();
  config_->concurrency = 1;
  std::vector<Reply> replies;
  for (int i = 0; i < 20; ++i) start(std::to_string(i), replies);
  run_until([&] { return replies.size() == 20; });
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(replies[i].body, std::to_string(i));
  EXPECT_EQ(server.connections(), 1u);
}

TEST_F(CurlWebhooksTest, CancelledCallsAreNeverTold) {
  TinyServer server([](const std::string&, const std::string& body) {
    return body == "hang" ? Answer{"", Answer::Then::Hang} : ok(body);
  });
  config_->url = server.url();
  config_->concurrency = 1;
  config_->queue = 2;
  std::vector<Reply> untold, told;
  const auto in_flight = start("hang", untold);
  const auto waiting = start("b", untold);
  start("c", told);
  const auto refused = start("d", untold);
  run_until([&] { return server.requests() == 1; });
  webhooks_->cancel(waiting);
  webhooks_->cancel(refused);
  webhooks_->cancel(in_flight);
  webhooks_->cancel(in_flight);
  webhooks_->cancel(12345);
  run_until([&] { return !told.empty(); });
  EXPECT_EQ(told[0].body, "c");
  // "d" was refused and told before it could be cancelled, or not at all.
  for (const Reply& reply : untold) EXPECT_EQ(reply.outcome, Outcome::Overloaded);
}

TEST_F(CurlWebhooksTest, TheBreakerSparesBothSides) {
  bool healthy = false;
  TinyServer server([&](const std::string&, const std::string&) { return status(healthy ? 204 : 502); });
  config_->url = server.url();
  config_->breaker_failures = 3;
  config_->breaker_cooldown_ms = 50;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(call().status, 502);
  EXPECT_EQ(call().outcome, Outcome::Overloaded);
  EXPECT_EQ(server.requests(), 3u);
  EXPECT_EQ(page_.get(Metric::WebhookBreakerOpened), 1u);
  expect_failures({{Metric::WebhookFailuresStatus, 3}, {Metric::WebhookFailuresBreaker, 1}});
  healthy = true;
  const int64_t give_up_ms = monotonic_ms() + 10'000;
  while (!call().accepted()) ASSERT_LT(monotonic_ms(), give_up_ms);
  EXPECT_EQ(webhooks_->endpoint("app")->breaker(), Breaker::State::Closed);
  EXPECT_EQ(server.requests(), 4u);  // One probe was enough.
}

TEST_F(CurlWebhooksTest, OneSlowApplicationDoesNotSlowAnother) {
  TinyServer slow([](const std::string&, const std::string&) { return Answer{"", Answer::Then::Hang}; });
  TinyServer fast([](const std::string&, const std::string& body) { return ok(body); });
  config_->url = slow.url();
  config_->concurrency = 2;
  std::vector<Reply> stuck;
  for (int i = 0; i < 10; ++i) start("x", stuck);
  config_ = std::make_shared<config::Webhook>(*config_);
  config_->name = "other";
  config_->url = fast.url();
  EXPECT_EQ(call("quick").body, "quick");
  EXPECT_TRUE(stuck.empty());
}

TEST_F(CurlWebhooksTest, AReloadChangesTheEndpoint) {
  TinyServer before([](const std::string&, const std::string&) { return ok("before"); });
  TinyServer after([](const std::string&, const std::string&) { return ok("after"); });
  config_->url = before.url();
  EXPECT_EQ(call().body, "before");
  config_ = std::make_shared<config::Webhook>(*config_);
  config_->url = after.url();
  EXPECT_EQ(call().body, "after");
}

TEST_F(CurlWebhooksTest, EventsArriveInABatchAndTheDrainWaitsForIt) {
  TinyServer server([](const std::string&, const std::string&) { return status(204); });
  config_->url = server.url();
  config_->batch_delay_ms = 10'000;
  for (uint32_t i = 1; i <= 3; ++i) {
    Event event;
    event.endpoint = config_;
    event.type = "beamgate.connected";
    event.sequence = i;
    EXPECT_TRUE(webhooks_->post(event));
  }
  bool drained = false;
  webhooks_->drain(monotonic_ms() + 10'000, [&] { drained = true; });
  run_until([&] { return drained; });
  ASSERT_EQ(server.requests(), 1u);
  EXPECT_NE(server.heads()[0].find("content-type: application/cloudevents-batch+json"), std::string::npos);
  const std::string body = server.bodies()[0];
  EXPECT_TRUE(body.starts_with("[{") && body.ends_with("}]"));
  EXPECT_NE(body.find("\"beamgatesequence\":3"), std::string::npos);
  EXPECT_EQ(webhooks_->events_waiting(), 0u);
}

}  // namespace
}  // namespace beamgate::hook
