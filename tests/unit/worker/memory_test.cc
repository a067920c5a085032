// A worker whose arena is full: who wants something of it is refused or closed, each time counted as for want of memory,
// and those who want nothing new go on.
#include "tests/unit/worker/move/two_workers.h"
#include "worker/proto/event_stream.h"

namespace beamgate {
namespace {

using metrics::Metric;
using move::testing::Client;
using ws::testing::client_frame;
using ws::testing::kText;

class MemoryTest : public move::testing::TwoWorkers {
 protected:
  MemoryTest() : TwoWorkers(" location = /events { sse room; }") {}
  ~MemoryTest() override { empty(); }

  // With large blocks, then with smaller and smaller ones, until no class of sizes has a place.
  void fill() {
    constexpr size_t kSmall = 64 << 10;
    for (size_t bytes = record::Arena::kBlockBytesMax; bytes > 0; bytes -= bytes > kSmall ? bytes / 2 : 16) {
      for (record::Ref block = arena().allocate(bytes); block != record::kNull; block = arena().allocate(bytes)) {
        blocks_.push_back(block);
      }
    }
  }
  void empty() {
    for (const record::Ref block : std::exchange(blocks_, {})) arena().release(block);
  }
  uint64_t counted(Metric metric) const { return source_->page.get(metric); }

  record::Arena& arena() { return source_->arena; }

 private:
  std::vector<record::Ref> blocks_;
};

TEST_F(MemoryTest, AHandshakeIsRefused) {
  Client other = connect("/echo"), client = open();
  fill();
  client.send("GET /hub?a=room HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  for (int i = 0; i < 3; ++i) turn_both();
  EXPECT_EQ(counted(Metric::WebSocketHandshakesMemory), 1u);
  empty();
  other.send(client_frame(kText, "still"));
  EXPECT_EQ(said(other), "text still\n");
}

TEST_F(MemoryTest, HalfARequestEndsItsConnection) {
  Client client = open();
  fill();
  client.send("GET /text HTT");
  for (int i = 0; i < 3; ++i) turn_both();
  EXPECT_EQ(counted(Metric::ClosesMemory), 1u);
  EXPECT_TRUE(client.ended());
}

TEST_F(MemoryTest, AMessageForTheApplicationEndsItsConnection) {
  Client client = connect("/app");
  fill();
  client.send(client_frame(kText, "for the application"));
  for (int i = 0; i < 3; ++i) turn_both();
  EXPECT_EQ(counted(Metric::ClosesMemory), 1u);
  EXPECT_TRUE(source_->webhooks.calls.empty());
}

TEST_F(MemoryTest, AnEventStreamMissesWhatThereIsNoRoomFor) {
  proto::ChannelDoor door(source_->context, source_->dispatcher, source_->ops, source_->policy);
  proto::EventStream streams(source_->context, source_->policy, door);
  source_->connections.set_handler(record::Phase::EventStream, streams);
  source_->dispatcher.set_handler(config::Action::EventStream, streams);
  source_->delivery.set_encoder(record::Protocol::EventStream, streams);
  Client client = open();
  client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
  for (int i = 0; i < 5; ++i) turn_both();
  ASSERT_EQ(counted(Metric::HubSubscriptions), 1u);
  fill();
  sequencer_.publish("room", "hello");
  turn_both();
  EXPECT_EQ(counted(Metric::MessagesDroppedMemory), 1u);
  empty();
  source_->connections.close_now(at(*source_, client));
}

}  // namespace
}  // namespace beamgate
