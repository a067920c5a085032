// Publishing over a hub with a fake bus: what reaches the bus, what the caller is told and when, and that every
// wrong command is answered with the code that says why and changes nothing.
#include "worker/api/publishing.h"

#include <gtest/gtest.h>

#include <optional>

namespace beamgate::api {
namespace {

struct Sent {
  uint64_t ticket = 0;
  ipc::PayloadKind kind = ipc::PayloadKind::Text;
  std::string channel;
  std::string payload;
  std::string key;
};

class FakeBus : public hub::Bus {
 public:
  void send_interest(std::string_view) override {}
  void send_withdraw(std::string_view) override {}
  void send_known(const ipc::Known&) override {}
  bool send_publish(const ipc::Publish& message) override {
    if (sent.size() >= room) return false;
    sent.push_back({message.ticket, message.payload_kind, std::string(message.channel),
                    std::string(message.payload), std::string(message.idempotency_key)});
    return true;
  }
  std::vector<Sent> sent;
  size_t room = 100;
};

class NoDeliveries : public hub::Deliverer {
 public:
  void deliver(const hub::Publication&, std::span<const uint32_t>) override {}
  void deliver_gap(std::string_view, uint64_t, std::span<const uint32_t>) override {}
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
  Publishing publishing{hub};
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
