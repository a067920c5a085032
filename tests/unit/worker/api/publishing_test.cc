// Publishing over a hub with a fake bus: what reaches the bus, what the caller is told and when, and that every
// wrong command is answered with the code that says why and changes nothing.
#include "worker/api/publishing.h"

#include <gtest/gtest.h>

#include <optional>

#include "common/ipc/wire.h"

namespace beamgate::api {
namespace {

struct Sent {
  uint64_t ticket = 0;
  ipc::PayloadKind kind = ipc::PayloadKind::Text;
  std::string channel;
  std::string payload;
  std::string key;
  uint64_t receipt_ticket = 0;
  uint32_t acknowledge_ms = 0;
};

class FakeBus : public hub::Bus {
 public:
  void send_interest(std::string_view) override {}
  void send_withdraw(std::string_view) override {}
  void send_known(const ipc::Known&) override {}
  void send_join(const ipc::Join&) override {}
  void send_leave(const ipc::Leave&) override {}
  void send_ask(const ipc::Ask&) override {}
  void send_ask_users(const ipc::AskUsers&) override {}
  bool send_publish(const ipc::Publish& message) override {
    if (sent.size() >= room) return false;
    sent.push_back({message.ticket, message.payload_kind, std::string(message.channel),
                    std::string(message.payload), std::string(message.idempotency_key), message.receipt_ticket,
                    message.acknowledge_ms});
    return true;
  }
  std::vector<Sent> sent;
  size_t room = 100;
};

class NoDeliveries : public hub::Deliverer {
 public:
  void deliver(const hub::Publication&, std::span<const uint32_t>) override {}
  void deliver_gap(std::string_view, uint64_t, std::span<const uint32_t>) override {}
  void deliver_presence(const ipc::PresenceChange&, std::span<const uint32_t>) override {}
  void joined(record::Record&, std::string_view, const ipc::ChannelState&) override {}
};

class FakeRemote : public hub::Remote {
 public:
  void serve(hub::Method, Handler) override {}
  bool ask_all(hub::Method, std::string_view, OnAnswers) override { return false; }
  bool ask(uint16_t, hub::Method, std::string_view, OnAnswers) override { return false; }
  bool ask_heir(hub::Method, std::string_view, OnAnswers) override { return false; }
  uint64_t expect(int64_t within_ms, OnAnswers done) override {
    if (expected.size() >= room) return 0;
    within.push_back(within_ms);
    expected.push_back(std::move(done));
    return expected.size();
  }
  void forget(uint64_t ticket) override { expected.at(ticket - 1) = {}; }

  size_t room = 100;
  std::vector<int64_t> within;
  std::vector<OnAnswers> expected;  // By ticket, from 1.
};

json::Value parsed(std::string_view text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value.ok()) << text;
  return value.ok() ? std::move(value).value() : json::Value();
}

class PublishingTest : public testing::Test {
 protected:
  static constexpr uint64_t kBytesMax = 64;

  Reply publish(std::string_view params, std::string_view key = {}) { return run(false, params, key); }
  Reply broadcast(std::string_view params) { return run(true, params, {}); }

  // The reply when it came at once; else it is in `later` once the bus has acknowledged.
  Reply run(bool many, std::string_view params, std::string_view key) {
    later.reset();
    const auto done = [this](Reply&& reply) {
      EXPECT_FALSE(later.has_value()) << "answered twice";
      later = std::move(reply);
    };
    const json::Value value = parsed(params);
    many ? publishing.broadcast(value, key, kBytesMax, done) : publishing.publish(value, key, kBytesMax, done);
    return later.value_or(Reply());
  }
  void acknowledge(size_t index, uint64_t offset) {
    hub.on_publish_ack({.ticket = bus.sent.at(index).ticket, .offset = offset, .epoch = "ep"});
  }

  record::Arena arena = std::move(record::Arena::map(UniqueFd(), 4)).value();
  metrics::Page page{};
  FakeBus bus;
  NoDeliveries deliverer;
  hub::Hub hub{arena, bus, deliverer, page};
  FakeRemote remote;
  Publishing publishing{hub, remote};
  std::optional<Reply> later;
};

TEST_F(PublishingTest, RepliesWithTheReceiptAndNotBefore) {
  publish(R"({"channel":"room","data":{"b":1, "a":[1.50,"x"]}})");
  ASSERT_EQ(bus.sent.size(), 1u);
  EXPECT_FALSE(later.has_value());
  EXPECT_EQ(bus.sent[0].channel, "room");
  EXPECT_EQ(bus.sent[0].payload, R"({"b":1,"a":[1.50,"x"]})");
  EXPECT_EQ(bus.sent[0].kind, ipc::PayloadKind::Json);
  acknowledge(0, 7);
  ASSERT_TRUE(later.has_value());
  EXPECT_EQ(to_json(std::move(*later)).dump(), R"({"result":{"offset":7,"epoch":"ep"}})");
}

TEST_F(PublishingTest, DataOfEveryKind) {
  publish(R"({"channel":"r","data":"text"})");
  publish(R"({"channel":"r","data":null})");
  publish(R"({"channel":"r","b64data":"AAEC/w=="})");
  ASSERT_EQ(bus.sent.size(), 3u);
  EXPECT_EQ(bus.sent[0].payload, "\"text\"");
  EXPECT_EQ(bus.sent[1].payload, "null");
  EXPECT_EQ(bus.sent[2].payload, std::string("\0\1\2\377", 4));
  EXPECT_EQ(bus.sent[2].kind, ipc::PayloadKind::Binary);
}

TEST_F(PublishingTest, WrongCommandsPublishNothing) {
  for (const char* params : {R"({})", R"({"data":1})", R"({"channel":5,"data":1})", R"({"channel":"r"})",
                             R"({"channel":"","data":1})", R"({"channel":"a\u0001","data":1})",
                             R"({"channel":"r","b64data":"AAE"})", R"({"channel":"r","b64data":5})",
                             R"({"channel":"r","data":1,"b64data":"AA=="})"}) {
    EXPECT_EQ(publish(params).error, ErrorCode::BadRequest) << params;
  }
  EXPECT_EQ(publish(R"({"channel":"r","data":")" + std::string(kBytesMax, 'x') + "\"}").error,
            ErrorCode::LimitExceeded);
  EXPECT_EQ(publish(R"({"channel":"r","data":1})", std::string(256, 'k')).error, ErrorCode::LimitExceeded);
  EXPECT_TRUE(bus.sent.empty());
}

TEST_F(PublishingTest, IdempotencyKeyOfTheCommandWinsOverTheHeader) {
  publish(R"({"channel":"r","data":1,"idempotency_key":"own"})", "header");
  publish(R"({"channel":"r","data":1})", "header");
  publish(R"({"channel":"r","data":1})");
  ASSERT_EQ(bus.sent.size(), 3u);
  EXPECT_EQ(bus.sent[0].key, "own");
  EXPECT_EQ(bus.sent[1].key, "header");
  EXPECT_EQ(bus.sent[2].key, "");
}

TEST_F(PublishingTest, AFullOrLostBusIsSaid) {
  bus.room = 1;
  publish(R"({"channel":"r","data":1})");
  EXPECT_FALSE(later.has_value());
  hub.on_bus_lost();
  ASSERT_TRUE(later.has_value());
  EXPECT_EQ(later->error, ErrorCode::TooManyRequests);
  EXPECT_EQ(publish(R"({"channel":"r","data":1})").error, ErrorCode::TooManyRequests);
}

hub::Answer counts(uint32_t subscribers, uint32_t sent, uint32_t dropped, uint32_t acknowledged) {
  return {.worker = 1, .answered = true, .body = ipc::encode(ipc::Receipt{subscribers, sent, dropped, acknowledged})};
}

TEST_F(PublishingTest, AReceiptAddsUpWhatTheWorkersTell) {
  publish(R"({"channel":"r","data":1,"acknowledge_ms":500})");
  ASSERT_EQ(bus.sent.size(), 1u);
  EXPECT_EQ(bus.sent[0].receipt_ticket, 1u);
  EXPECT_EQ(bus.sent[0].acknowledge_ms, 500u);
  EXPECT_GT(remote.within[0], 500);
  acknowledge(0, 7);
  EXPECT_FALSE(later.has_value());
  remote.expected[0]({counts(3, 2, 1, 1), counts(4, 4, 0, 4)});
  ASSERT_TRUE(later.has_value());
  EXPECT_EQ(to_json(std::move(*later)).dump(),
            R"({"result":{"offset":7,"epoch":"ep","receipt":{"subscribers":7,"sent":6,"dropped":1,"acknowledged":5,)"
            R"("complete":true}}})");
}

TEST_F(PublishingTest, AReceiptMayComeFirstAndBeIncomplete) {
  publish(R"({"channel":"r","data":1,"receipt":true})");
  EXPECT_EQ(bus.sent.at(0).acknowledge_ms, 0u);
  remote.expected.at(0)({counts(3, 3, 0, 0), {.worker = 2}});
  EXPECT_FALSE(later.has_value());
  acknowledge(0, 7);
  ASSERT_TRUE(later.has_value());
  EXPECT_EQ(to_json(std::move(*later)).dump(),
            R"({"result":{"offset":7,"epoch":"ep","receipt":{"subscribers":3,"sent":3,"dropped":0,"complete":false}}})");
}

TEST_F(PublishingTest, WithoutAPublicationNoReceiptIsWaitedFor) {
  bus.room = 1;
  publish(R"({"channel":"r","data":1,"receipt":true})");
  hub.on_bus_lost();
  ASSERT_TRUE(later.has_value());
  EXPECT_EQ(later->error, ErrorCode::TooManyRequests);
  EXPECT_EQ(publish(R"({"channel":"r","data":1,"receipt":true})").error, ErrorCode::TooManyRequests);
  EXPECT_FALSE(remote.expected.at(1)) << "forgotten";
  bus.room = 100;
  remote.room = 2;
  EXPECT_EQ(publish(R"({"channel":"r","data":1,"receipt":true})").error, ErrorCode::TooManyRequests);
  for (const char* ms : {"0", "30001", "-1", "1.5", "\"1s\""}) {
    EXPECT_EQ(publish(std::string(R"({"channel":"r","data":1,"acknowledge_ms":)") + ms + '}').error, ErrorCode::BadRequest);
  }
  EXPECT_EQ(bus.sent.size(), 1u);
}

TEST_F(PublishingTest, BroadcastAnswersInTheChannelsOrder) {
  bus.room = 2;
  broadcast(R"({"channels":["a",5,"b","c"],"data":1})");
  ASSERT_EQ(bus.sent.size(), 2u);
  acknowledge(1, 11);
  EXPECT_FALSE(later.has_value());
  acknowledge(0, 10);
  ASSERT_TRUE(later.has_value());
  EXPECT_EQ(to_json(std::move(*later)).dump(),
            R"({"result":{"responses":[{"result":{"offset":10,"epoch":"ep"}},)"
            R"({"error":{"code":107,"message":"bad request: not a channel name"}},)"
            R"({"result":{"offset":11,"epoch":"ep"}},)"
            R"({"error":{"code":111,"message":"too many requests: the bus is full"}}]}})");
}

TEST_F(PublishingTest, BroadcastIsBounded) {
  EXPECT_EQ(broadcast(R"({"channels":[],"data":1})").error, ErrorCode::BadRequest);
  EXPECT_EQ(broadcast(R"({"data":1})").error, ErrorCode::BadRequest);
  std::string many = R"({"data":1,"channels":["x")";
  for (size_t i = 0; i < Publishing::kChannelsMax; ++i) many += ",\"x\"";
  EXPECT_EQ(broadcast(many + "]}").error, ErrorCode::LimitExceeded);
  EXPECT_TRUE(bus.sent.empty());
}

TEST(Reply, ErrorsCarryCodeAndText) {
  EXPECT_EQ(to_json(Reply::failed(ErrorCode::NotAvailable)).dump(),
            R"({"error":{"code":108,"message":"not available"}})");
  EXPECT_EQ(to_json(Reply()).dump(), R"({"result":{}})");
}

}  // namespace
}  // namespace beamgate::api
