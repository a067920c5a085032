// Receipts: who has acknowledged, and that each call is answered once, whatever becomes of the connections.
#include "worker/proto/receipts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace beamgate::proto {
namespace {

using record::ConnId;
using testing::ElementsAre;
using testing::IsEmpty;

class ReceiptsTest : public testing::Test {
 protected:
  static constexpr uint32_t kLongMs = 60'000;

  // Gives the Ping that the connections were sent.
  std::string publish(uint64_t call, std::initializer_list<ConnId> connections, uint32_t acknowledge_ms = kLongMs) {
    receipts.begin(call, acknowledge_ms);
    const std::string ping(receipts.ping());
    for (const ConnId connection : connections) receipts.note_sent(connection, !ping.empty());
    receipts.end();
    return ping;
  }

  uv::Loop loop;
  std::vector<std::string> answers;
  Receipts receipts{loop, [this](uint64_t call, const ipc::Receipt& receipt) {
                      answers.push_back(std::to_string(call) + ": " + std::to_string(receipt.subscribers) + ' ' +
                                        std::to_string(receipt.sent) + ' ' + std::to_string(receipt.dropped) + ' ' +
                                        std::to_string(receipt.acknowledged));
                    }};
};

TEST_F(ReceiptsTest, CountsAreToldAtOnceWhenNoAcknowledgementIsWanted) {
  receipts.begin(7, 0);
  EXPECT_TRUE(receipts.ping().empty());
  receipts.note_sent({1, 1}, false);
  receipts.note_sent({2, 1}, false);
  receipts.note_dropped();
  receipts.end();
  EXPECT_THAT(answers, ElementsAre("7: 3 2 1 0"));
  EXPECT_FALSE(receipts.is_open());
}

TEST_F(ReceiptsTest, NobodyToAskIsToldAtOnce) {
  publish(7, {});
  EXPECT_THAT(answers, ElementsAre("7: 0 0 0 0"));
}

TEST_F(ReceiptsTest, TheLastPongAnswers) {
  const std::string ping = publish(7, {{1, 1}, {2, 1}});
  receipts.on_pong({1, 1}, ping);
  receipts.on_pong({1, 1}, ping);
  receipts.on_pong({2, 2}, ping);  // Another connection in its place.
  EXPECT_THAT(answers, IsEmpty());
  receipts.on_pong({2, 1}, ping);
  EXPECT_THAT(answers, ElementsAre("7: 2 2 0 2"));
  receipts.on_pong({2, 1}, ping);
  EXPECT_EQ(answers.size(), 1u);
}

TEST_F(ReceiptsTest, APongAcknowledgesWhatWasBeforeIt) {
  publish(7, {{1, 1}});
  const std::string second = publish(8, {{1, 1}});
  publish(9, {{1, 1}});
  receipts.on_pong({1, 1}, second);
  EXPECT_THAT(answers, ElementsAre("7: 1 1 0 1", "8: 1 1 0 1"));
}

TEST_F(ReceiptsTest, OtherPongsMeanNothing) {
  Receipts other{loop, {}};
  other.begin(1, kLongMs);
  const std::string foreign(other.ping());
  publish(7, {{1, 1}});
  for (const std::string& payload : {std::string(), std::string("hello"), std::string(8, '\xff'), foreign}) {
    receipts.on_pong({1, 1}, payload);
  }
  EXPECT_THAT(answers, IsEmpty());
}

TEST_F(ReceiptsTest, WhoGoesIsNotWaitedFor) {
  const std::string ping = publish(7, {{1, 1}, {2, 1}});
  receipts.on_pong({1, 1}, ping);
  receipts.on_gone({3, 1});
  EXPECT_THAT(answers, IsEmpty());
  receipts.on_gone({2, 1});
  EXPECT_THAT(answers, ElementsAre("7: 2 2 0 1"));
}

TEST_F(ReceiptsTest, TimeEndsTheWait) {
  const std::string ping = publish(7, {{1, 1}, {2, 1}}, 5);
  receipts.on_pong({2, 1}, ping);
  while (answers.empty()) loop.run_once(true);
  EXPECT_THAT(answers, ElementsAre("7: 2 2 0 1"));
  receipts.on_pong({1, 1}, ping);
  EXPECT_EQ(answers.size(), 1u);
}

TEST_F(ReceiptsTest, ThereIsALimit) {
  for (size_t i = 0; i < Receipts::kWaitingMax; ++i) publish(i, {{1, 1}});
  EXPECT_THAT(answers, IsEmpty());
  EXPECT_TRUE(publish(999, {{1, 1}}).empty());
  EXPECT_THAT(answers, ElementsAre("999: 1 1 0 0"));
}

}  // namespace
}  // namespace beamgate::proto
