// Replies and requests: what is kept of a reply's head, its limits, Retry-After, and that a request's head can
// hold anything without being broken by it.
#include "worker/hook/reply_reader.h"

#include <gtest/gtest.h>

#include "worker/hook/cloud_event.h"
#include "worker/hook/request_head.h"
#include "worker/hook/retry_after.h"

namespace beamgate::hook {
namespace {

TEST(ReplyReader, KeepsWhatMeansSomething) {
  ReplyReader reader(100);
  for (const char* line : {"HTTP/1.1 103 Early Hints\r\n", "Set-Cookie: early=1\r\n", "\r\n", "HTTP/1.1 200 OK\r\n",
                           "Content-Type: text/plain\r\n", "SET-COOKIE:  a=1 \r\n", "Server: x\r\n",
                           "Beamgate-User: u\r\n", "\r\n"}) {
    EXPECT_TRUE(reader.on_head_line(line));
  }
  EXPECT_TRUE(reader.on_body("hel"));
  EXPECT_TRUE(reader.on_body("lo"));
  const Reply reply = reader.finish(200, 0);
  EXPECT_TRUE(reply.accepted());
  EXPECT_EQ(reply.content_type, "text/plain");
  EXPECT_EQ(reply.actions.user, "u");
  EXPECT_EQ(reply.body, "hello");
  EXPECT_EQ(reply.fields, (Fields{{"set-cookie", "a=1"}}));
}

TEST(ReplyReader, ActionsCountOnlyWhenAccepted) {
  ReplyReader reader(100);
  EXPECT_TRUE(reader.on_head_line("beamgate-user: %zz\r\n"));
  EXPECT_EQ(reader.finish(403, 0).outcome, Outcome::Answered);
  ReplyReader broken(100);
  EXPECT_TRUE(broken.on_head_line("beamgate-user: %zz\r\n"));
  EXPECT_EQ(broken.finish(200, 0).outcome, Outcome::Malformed);
  EXPECT_STRNE(broken.error(), "");
}

TEST(ReplyReader, AUserThatNobodyCanBeIsNoAnswer) {
  const auto outcome_for = [](const std::string& user) {
    ReplyReader reader(1000);
    EXPECT_TRUE(reader.on_head_line("beamgate-user: " + user + "\r\n"));
    return reader.finish(200, 0).outcome;
  };
  EXPECT_EQ(outcome_for(std::string(200, 'u')), Outcome::Answered);
  EXPECT_EQ(outcome_for("j%C3%B6rg #1"), Outcome::Answered);
  for (const std::string& bad : {std::string(201, 'u'), std::string("a%0Ab"), std::string("a%7F"), std::string("%FF")}) {
    EXPECT_EQ(outcome_for(bad), Outcome::Malformed) << bad;
  }
}

TEST(ReplyReader, StatusesAreThoseOfHttp) {
  for (const uint16_t status : std::initializer_list<uint16_t>{200, 301, 404, 599}) EXPECT_EQ(ReplyReader(1).finish(status, 0).outcome, Outcome::Answered);
  for (const uint16_t status : std::initializer_list<uint16_t>{0, 99, 600, 999}) EXPECT_EQ(ReplyReader(1).finish(status, 0).outcome, Outcome::Malformed);
}

TEST(ReplyReader, OfWhatIsToldTheStatusAloneCounts) {
  ReplyReader reader(10);
  reader.expect_nothing();
  EXPECT_TRUE(reader.on_head_line("beamgate-user: %zz\r\n"));
  EXPECT_TRUE(reader.on_body("0123456789"));
  EXPECT_FALSE(reader.on_body("x"));  // Nobody waits for more.
  EXPECT_TRUE(reader.finish(200, 0).accepted());
}

TEST(ReplyReader, HeadAndBodyHaveLimits) {
  ReplyReader reader(10);
  EXPECT_TRUE(reader.on_body("0123456789"));
  EXPECT_FALSE(reader.on_body("x"));
  EXPECT_TRUE(reader.too_big());
  ReplyReader head(10);
  const std::string line = "x: " + std::string(1000, 'y') + "\r\n";
  size_t lines = 0;
  while (head.on_head_line(line) && lines < 1000) ++lines;
  EXPECT_LT(lines, 70u);
  EXPECT_TRUE(head.too_big());
}

TEST(RetryAfter, SecondsOrADate) {
  constexpr int64_t kNow = 1'790'000'000'000;  // Mon, 21 Sep 2026 14:13:20 GMT
  EXPECT_EQ(parse_retry_after("5", kNow), 5000);
  EXPECT_EQ(parse_retry_after(" 0 ", kNow), 0);
  EXPECT_EQ(parse_retry_after("Mon, 21 Sep 2026 14:13:20 GMT", kNow), 0);
  EXPECT_EQ(parse_retry_after("99999999999", kNow), kRetryAfterMaxMs);
  EXPECT_EQ(parse_retry_after("Mon, 21 Sep 2026 14:13:30 GMT", kNow), 10'000);
  EXPECT_EQ(parse_retry_after("Mon, 21 Sep 2026 14:13:10 GMT", kNow), 0);
  for (const char* bad : {"", "-1", "soon", "1.5", "5s"}) EXPECT_FALSE(parse_retry_after(bad, kNow)) << bad;
}

std::vector<std::string> lines_of(RequestHead head) {
  std::vector<std::string> out;
  for (const curl_slist* line = head.list(); line != nullptr; line = line->next) out.emplace_back(line->data);
  return out;
}

TEST(RequestHead, NothingCanEndALine) {
  RequestHead head;
  head.add("a", "x\r\ny: z");
  head.add_encoded("b", "x\r\ny");
  head.add_encoded("c", "");
  head.add_lines("d: 1\r\ne:2\r\nbroken\r\n: no name\r\nf: a\nb\r\n");
  head.suppress("accept");
  EXPECT_EQ(lines_of(std::move(head)),
            (std::vector<std::string>{"a: x??y: z", "b: x%0D%0Ay", "d: 1", "e: 2", "f: a?b", "accept:"}));
}

TEST(CloudEvent, ACallHasTheFieldsOfTheContract) {
  auto endpoint = std::make_shared<config::Webhook>();
  endpoint->secrets = {"key"};
  Call call;
  call.endpoint = endpoint;
  call.type = "beamgate.message";
  call.subject = Subject{.uid = 0x1234, .listener = "[::1]:80", .user = "J\xc3\xb6rg", .state = "a%b",
                         .forward_fields = "cookie: c=1\r\n", .uri = {}};
  call.id = "msg_1";
  call.content_type = "text/plain; charset=utf-8";
  call.body = "hi";
  const auto lines = lines_of(head_of_call(call, 1'790'000'000'123));
  for (const char* line :
       {"content-type: text/plain; charset=utf-8", "webhook-id: msg_1", "webhook-timestamp: 1790000000",
        "ce-specversion: 1.0", "ce-id: msg_1", "ce-time: 2026-09-21T14:13:20.123Z",
        "ce-source: /%5B::1%5D:80/0000000000001234", "ce-type: beamgate.message",
        "beamgate-connection: 0000000000001234", "beamgate-user: J%C3%B6rg", "beamgate-state: a%25b", "cookie: c=1"}) {
    EXPECT_EQ(std::count(lines.begin(), lines.end(), line), 1) << line;
  }
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
              return line.starts_with("webhook-signature: v1,");
            }), 1);
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
              return line.starts_with("beamgate-channel") || line.starts_with("beamgate-uri");
            }), 0);
}

TEST(CloudEvent, AnEventIsOneElementOfABatch) {
  Event event;
  event.type = "beamgate.disconnected";
  event.subject = Subject{.uid = 1, .listener = "127.0.0.1:80", .user = "u\xff", .state = {}, .forward_fields = {}, .uri = {}};
  event.sequence = 7;
  event.data = R"({"code":1001})";
  EXPECT_EQ(json_of_event(event, 1'790'000'000'000),
            R"({"specversion":"1.0","id":"evt_0000000000000001_7","source":"/127.0.0.1:80/0000000000000001",)"
            R"("type":"beamgate.disconnected","time":"2026-09-21T14:13:20.000Z",)"
            "\"beamgateconnection\":\"0000000000000001\",\"beamgateuser\":\"u\xef\xbf\xbd\","
            R"("beamgatesequence":7,"datacontenttype":"application/json","data":{"code":1001}})");
}

}  // namespace
}  // namespace beamgate::hook
