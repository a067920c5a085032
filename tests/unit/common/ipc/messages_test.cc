// The bus's messages: each one comes back from its bytes as it was, and nothing but exactly its bytes is
// accepted - the master decodes what workers send, and must survive whatever that is.
#include <gtest/gtest.h>

#include <random>
#include <tuple>

#include "common/ipc/messages.h"
#include "common/ipc/wire.h"

namespace beamgate::ipc {
namespace {

using Samples = std::tuple<Hello, Ready, Prepared, Interest, Withdraw, Publish, Call, Reply, InterestAck, Deliver,
                           PublishAck, Gap, Request, CallReply, Prepare, Commit, Abort, Stop, ReopenLogs, Join, Leave,
                           JoinedAll, Ask, ChannelState, PresenceChange, UserChange, AskUsers, UsersState, Farewell,
                           FarewellAck>;

const Member kMember = {9, 1700, 3, "ada", "{}"};

Samples samples() {
  return {Hello{kBusVersion, 7, 4711},
          Ready{3},
          Prepared{4, false, "line 3: unknown directive"},
          Interest{"room.1"},
          Withdraw{"room.1"},
          Publish{1, 2, PayloadKind::Binary, kPublishNoHistory, "room", std::string_view("a\0b", 3), {7, "ada", "said", "{}"}, "key",
                  8, 500},
          Call{9, Target::Worker, 3, 12, "body"},
          Reply{10, "answer"},
          InterestAck{"room", "ep0cHxyz", 99, 12},
          Deliver{100, 5, PayloadKind::Json, kDeliverIsKept, "room", "{}", {7, "ada", "said", "{}"}, 8, 500},
          PublishAck{1, 100, "ep0cHxyz"},
          Gap{77, 12, "room"},
          Request{11, 12, "body"},
          CallReply{9, 3, 1, false, ""},
          Prepare{4, {1, 2, 0xffffffff}},
          Commit{4},
          Abort{4},
          Stop{true},
          ReopenLogs{},
          Join{1, "room", true, false, kMember, kStateRecover, "ep0cHxyz", 3, 100, 50},
          Leave{9, "room"},
          JoinedAll{},
          Ask{2, "room", kStateMembers, "", 0, 0, 9},
          ChannelState{1, "room", true, "ep0cHxyz", 5, true, {{4, 1700, PayloadKind::Text, "hi", {7, "ada", "said", {}}}, {}},
                       2, 3, true, {kMember, kMember}},
          PresenceChange{12, "room", 2, 3, true, true, {{MemberEvent::Left, true, kMember}}},
          UserChange{4, 5, true, 1700, 0, "room", "ada", "{}"},
          AskUsers{3, false, 8, 9, "pre", "room", 10},
          UsersState{3, true, true, false, 8, 9, {{3, 4, false, 1700, 1800, "room", "ada", ""}}, {{"room", "ada", 2, 1700}}},
          Farewell{},
          FarewellAck{}};
}

template <typename Visitor>
void for_each_sample(Visitor visitor) {
  std::apply([&](const auto&... message) { (visitor(message), ...); }, samples());
}

TEST(Messages, ComeBackFromTheirBytes) {
  for_each_sample([](const auto& message) {
    const std::string bytes = encode(message);
    std::decay_t<decltype(message)> back;
    ASSERT_TRUE(decode(bytes, back)) << static_cast<int>(message.kKind);
    EXPECT_EQ(encode(back), bytes) << static_cast<int>(message.kKind);
  });
}

TEST(Messages, KeepTheirFields) {
  Publish publish;
  const std::string bytes = encode(std::get<Publish>(samples()));
  ASSERT_TRUE(decode(bytes, publish));
  EXPECT_EQ(publish.ticket, 1u);
  EXPECT_EQ(publish.except, 2u);
  EXPECT_EQ(publish.payload_kind, PayloadKind::Binary);
  EXPECT_EQ(publish.channel, "room");
  EXPECT_EQ(publish.payload, std::string_view("a\0b", 3));
  EXPECT_EQ(publish.idempotency_key, "key");
  EXPECT_EQ(publish.receipt_ticket, 8u);
  EXPECT_EQ(publish.acknowledge_ms, 500u);
  Prepare prepare;
  ASSERT_TRUE(decode(encode(std::get<Prepare>(samples())), prepare));
  EXPECT_EQ(prepare.listens, (std::vector<uint32_t>{1, 2, 0xffffffff}));
}

TEST(Messages, RefuseShorterAndLongerBytes) {
  for_each_sample([](const auto& message) {
    const std::string bytes = encode(message);
    std::decay_t<decltype(message)> back;
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode(std::string_view(bytes).substr(0, size), back)) << static_cast<int>(message.kKind);
    }
    EXPECT_FALSE(decode(bytes + 'x', back)) << static_cast<int>(message.kKind);
  });
}

TEST(Messages, RefuseAListThatClaimsMoreThanThereIs) {
  Prepare prepare;
  EXPECT_FALSE(decode(std::string_view("\1\0\0\0\xff\xff\xff\xff", 8), prepare));
  EXPECT_LT(prepare.listens.capacity(), 100u);
}

TEST(Messages, RefuseABoolThatIsNeither) {
  Stop stop;
  EXPECT_TRUE(decode(std::string_view("\1", 1), stop));
  EXPECT_FALSE(decode(std::string_view("\2", 1), stop));
}

// Random damage is either refused or read as some other message of the same shape; it is never read past its
// end (AddressSanitizer watches the exactly sized copy).
TEST(Messages, SurviveDamage) {
  std::mt19937 random(20261122);
  for (int round = 0; round < 300; ++round) {
    for_each_sample([&](const auto& message) {
      std::string damaged = encode(message);
      if (damaged.empty()) return;
      for (int hits = static_cast<int>(random() % 4); hits >= 0; --hits) {
        damaged[random() % damaged.size()] = static_cast<char>(random());
      }
      if (random() % 3 == 0) damaged.resize(random() % (damaged.size() + 1));
      const std::vector<char> exact(damaged.begin(), damaged.end());
      std::decay_t<decltype(message)> back;
      if (decode(std::string_view(exact.data(), exact.size()), back)) {
        EXPECT_EQ(encode(back), damaged);
      }
    });
  }
}

}  // namespace
}  // namespace beamgate::ipc
