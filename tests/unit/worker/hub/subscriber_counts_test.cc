// Subscribers of a few channels, whatever else there is: every worker is asked once, in the form in which workers of
// older builds ask and answer.
#include "worker/hub/subscriber_counts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "common/ipc/wire.h"

namespace beamgate::hub {
namespace {

using testing::ElementsAre;

class SilentBus final : public Bus {
 public:
  void send_interest(std::string_view) override {}
  void send_withdraw(std::string_view) override {}
  void send_known(const ipc::Known&) override {}
  void send_join(const ipc::Join&) override {}
  void send_leave(const ipc::Leave&) override {}
  void send_ask(const ipc::Ask&) override {}
  void send_ask_users(const ipc::AskUsers&) override {}
  bool send_publish(const ipc::Publish&) override { return false; }
};

class SilentDeliverer final : public Deliverer {
 public:
  void deliver(const Publication&, std::span<const uint32_t>) override {}
  void deliver_gap(std::string_view, uint64_t, std::span<const uint32_t>) override {}
  void deliver_presence(const ipc::PresenceChange&, std::span<const uint32_t>) override {}
  void joined(record::Record&, std::string_view, const ipc::ChannelState&) override {}
};

// Gives the answers of this worker, and those that the test has for others.
class NodeRemote final : public Remote {
 public:
  void serve(Method method, Handler handler) override {
    EXPECT_EQ(static_cast<uint16_t>(method), 32) << "the number that older builds know";
    own = std::move(handler);
  }
  bool ask_all(Method method, std::string_view body, OnAnswers done) override {
    EXPECT_EQ(static_cast<uint16_t>(method), 32);
    if (full) return false;
    question = body;
    std::vector<Answer> answers = others;
    answers.push_back({1, true, own(body)});
    done(std::move(answers));
    return true;
  }
  bool ask(uint16_t, Method, std::string_view, OnAnswers) override { return false; }
  bool ask_heir(Method, std::string_view, OnAnswers) override { return false; }
  uint64_t expect(int64_t, OnAnswers) override { return 0; }
  void forget(uint64_t) override {}

  Handler own;
  std::vector<Answer> others;
  std::string question;
  bool full = false;
};

// As every build has it on the wire.
struct WireQuestion {
  std::vector<std::string_view> channels;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.channels); }
};
struct WireAnswer {
  std::vector<std::string_view> nothing;
  std::vector<uint32_t> subscribers;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.nothing), v(m.subscribers); }
};

class SubscriberCountsTest : public testing::Test {
 protected:
  SubscriberCountsTest() {
    for (uint32_t slot = 0; slot < 8; ++slot) {
      arena_.records()[slot] = record::Record{};
      arena_.records()[slot].generation = 1;
    }
    serve_subscriber_counts(remote_, hub_);
  }
  ~SubscriberCountsTest() override {
    for (uint32_t slot = 0; slot < 8; ++slot) hub_.unsubscribe_all(arena_.records()[slot]);
  }
  std::vector<uint64_t> count(const std::vector<std::string_view>& channels) {
    std::optional<std::vector<uint64_t>> counts;
    EXPECT_TRUE(ask_subscriber_counts(remote_, channels, [&](const std::vector<uint64_t>& totals) { counts = totals; }));
    return counts.value_or(std::vector<uint64_t>());
  }

  record::Arena arena_ = std::move(record::Arena::map(UniqueFd(), 8)).value();
  metrics::Page page_{};
  SilentBus bus_;
  SilentDeliverer deliverer_;
  Hub hub_{arena_, bus_, deliverer_, page_};
  NodeRemote remote_;
};

TEST_F(SubscriberCountsTest, OfTheNamedChannelsOnly) {
  for (uint32_t slot = 0; slot < 3; ++slot) ASSERT_TRUE(hub_.subscribe(arena_.records()[slot], "room").ok());
  ASSERT_TRUE(hub_.subscribe(arena_.records()[0], "room*").ok());
  EXPECT_THAT(count({"room"}), ElementsAre(3u));
  EXPECT_THAT(count({"room*", "nowhere", "room"}), ElementsAre(1u, 0u, 3u)) << "a name is no pattern";
  EXPECT_THAT(count({"#ann"}), ElementsAre(0u));
}

TEST_F(SubscriberCountsTest, OverAllWorkersAndBuilds) {
  ASSERT_TRUE(hub_.subscribe(arena_.records()[0], "room").ok());
  remote_.others = {{2, true, ipc::encode(WireAnswer{{}, {40, 2}})},
                    {3, false, ipc::encode(WireAnswer{{}, {9, 9}})},
                    {4, true, ipc::encode(WireAnswer{{}, {9}})},
                    {5, true, "?"},
                    {6, true, ipc::encode(WireAnswer{{}, {UINT32_MAX, 0}})}};
  EXPECT_THAT(count({"room", "news"}), ElementsAre(41u + uint64_t{UINT32_MAX}, 2u));
  EXPECT_EQ(remote_.question, ipc::encode(WireQuestion{{"room", "news"}}));
  EXPECT_EQ(remote_.own(remote_.question), ipc::encode(WireAnswer{{}, {1, 0}}));
  EXPECT_EQ(remote_.own("?"), "");
}

TEST_F(SubscriberCountsTest, AFullBusIsSaid) {
  remote_.full = true;
  EXPECT_FALSE(ask_subscriber_counts(remote_, {"room"}, [](const std::vector<uint64_t>&) { FAIL(); }));
}

}  // namespace
}  // namespace beamgate::hub
