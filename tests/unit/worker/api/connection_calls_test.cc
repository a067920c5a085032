// Calls for the connections of a user or the subscribers of a channel: they reach all of those, whatever way they came to
// be, and nobody else; and how many there are is told as the connections are.
#include "worker/api/connection_calls.h"

#include <map>
#include <optional>

#include "tests/unit/worker/move/two_workers.h"
#include "worker/api/node_calls.h"
#include "worker/hub/subscriber_counts.h"

namespace beamgate::api {
namespace {

using move::testing::Client;
using move::testing::Node;
using move::testing::TwoWorkers;

// A node of one worker, which answers at once.
class LocalRemote final : public hub::Remote {
 public:
  void serve(hub::Method method, Handler handler) override { handlers[method] = std::move(handler); }
  bool ask_all(hub::Method method, std::string_view body, OnAnswers done) override {
    std::vector<hub::Answer> answers;
    answers.push_back({1, true, handlers.at(method)(body)});
    done(std::move(answers));
    return true;
  }
  bool ask(uint16_t, hub::Method method, std::string_view body, OnAnswers done) override {
    return ask_all(method, body, std::move(done));
  }
  bool ask_heir(hub::Method, std::string_view, OnAnswers) override { return false; }
  uint64_t expect(int64_t, OnAnswers) override { return 0; }
  void forget(uint64_t) override {}

  std::map<hub::Method, Handler> handlers;
};

class ConnectionCallsTest : public TwoWorkers {
 protected:
  static constexpr uint16_t kCode = 4001;

  ConnectionCallsTest() : TwoWorkers("location = /room { websocket raw; websocket_subscribe $arg_a; }") {
    hub::serve_subscriber_counts(remote_, source_->hub);
  }

  Client client_of(const std::string& user, const std::string& channel = "room") {
    Client client = connect("/room?a=" + channel);
    EXPECT_TRUE(source_->ops.set_user(at(*source_, client), user).ok());
    source_->hear();
    return client;
  }
  ConnectionCalls::Outcome run(const ConnectionCall& call) {
    std::optional<ConnectionCalls::Outcome> outcome;
    calls_.run(call, [&](ConnectionCalls::Outcome&& all) { outcome = std::move(all); });
    EXPECT_TRUE(outcome && outcome->asked);
    return outcome.value_or(ConnectionCalls::Outcome{});
  }
  uint32_t close(std::string_view user, std::string_view channel = {}) {
    const ConnectionCall call{.op = ConnectionOp::Close, .user = user, .subscribed_to = channel, .code = kCode};
    return run(call).matched;
  }
  uint32_t look(std::string_view user, std::string_view channel = {}) {
    return run({.user = user, .subscribed_to = channel}).matched;
  }
  uint64_t number(const std::function<void(Done)>& ask) {
    std::optional<Reply> reply;
    ask([&](Reply&& answered) { reply = std::move(answered); });
    EXPECT_TRUE(reply && reply->ok());
    return reply ? reply->result.get_uint("num_clients").value_or(UINT64_MAX) : UINT64_MAX;
  }

  LocalRemote remote_;
  Context context_{.worker = 1, .loop = source_->loop, .log = source_->log, .metrics = source_->page,
                   .settings = source_->settings, .arena = source_->arena, .poller = source_->poller,
                   .connections = source_->connections, .hub = source_->hub, .remote = remote_,
                   .webhooks = source_->webhooks};
  ConnectionCalls calls_{context_, source_->ops};
  NodeCalls nodes_{context_};
};

TEST_F(ConnectionCallsTest, AUsersConnectionsAndNobodyElses) {
  Client first = client_of("ann"), other = client_of("bob"), second = client_of("ann", "news"), nobody = connect("/room?a=room");
  EXPECT_EQ(look("ann"), 2u);
  EXPECT_EQ(look("ann", "news"), 1u);
  EXPECT_EQ(look("an"), 0u);
  EXPECT_EQ(look(""), 4u);
  EXPECT_EQ(close("ann"), 2u);
  EXPECT_EQ(said(first), "close 4001\n");
  EXPECT_EQ(said(second), "close 4001\n");
  EXPECT_EQ(said(other) + said(nobody), "");
  EXPECT_EQ(close("carl"), 0u);
}

TEST_F(ConnectionCallsTest, AUserIsOneWithoutItsOwnChannelToo) {
  Client left = client_of("ann"), early = connect("/room?a=room");
  source_->ops.unsubscribe(at(*source_, left), hub::user_channel("ann"));
  ASSERT_TRUE(source_->ops.set_user(at(*source_, early), "ann").ok());  // The bus hasn't confirmed it.
  EXPECT_EQ(source_->hub.local_subscribers(hub::user_channel("ann")), 0u);
  EXPECT_EQ(look("ann"), 2u);
  EXPECT_EQ(close("ann"), 2u);
  EXPECT_EQ(said(left) + said(early), "close 4001\nclose 4001\n");
}

TEST_F(ConnectionCallsTest, AUserWhoBecomesAnother) {
  Client client = client_of("ann");
  ASSERT_TRUE(source_->ops.set_user(at(*source_, client), "bob").ok());
  EXPECT_EQ(look("ann"), 0u);
  EXPECT_EQ(look("bob"), 1u);
  ASSERT_TRUE(source_->ops.set_user(at(*source_, client), "").ok());
  EXPECT_EQ(look("bob"), 0u);
  ASSERT_TRUE(source_->ops.set_user(at(*source_, client), "ann").ok());
  source_->hear();
  source_->connections.close_now(at(*source_, client));
  EXPECT_EQ(look("ann"), 0u);
  Client next = connect("/room?a=room");  // In the same place.
  EXPECT_EQ(look("ann"), 0u);
  EXPECT_EQ(look("", "room"), 1u);
}

TEST_F(ConnectionCallsTest, AUserMovesWithItsConnection) {
  Client client = client_of("ann"), other = client_of("bob");
  move_all();
  EXPECT_EQ(look("ann"), 0u);
  const std::vector<record::ConnId> there = destination_->connections.of_user("ann");
  ASSERT_EQ(there.size(), 1u);
  EXPECT_EQ(destination_->connections.find(there[0])->uid, client.uid);
  EXPECT_TRUE(is_at(*destination_, other));
}

TEST_F(ConnectionCallsTest, AChannelsSubscribersWithThoseWhoAreJoining) {
  Client here = client_of("ann"), there = client_of("bob", "news"), joining = client_of("carl", "news");
  record::Record& record = at(*source_, joining);
  ASSERT_TRUE(source_->hub.join(record, "room", {.member = true, .user = "carl"}).ok());
  ASSERT_TRUE(source_->hub.join(record, "vault", {.member = true, .user = "carl"}).ok());
  EXPECT_TRUE(source_->hub.is_joining(record, "room"));
  EXPECT_EQ(look("", "room"), 2u);
  EXPECT_EQ(look("", "vault"), 1u);
  EXPECT_EQ(look("", "cellar"), 0u);
  EXPECT_EQ(close("", "room"), 2u);
  EXPECT_EQ(said(here) + said(joining), "close 4001\nclose 4001\n");
  EXPECT_EQ(said(there), "");
}

TEST_F(ConnectionCallsTest, WhoIsTakenOutOfAChannelWhileItIsGoneThrough) {
  std::vector<Client> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(client_of("ann"));
  EXPECT_EQ(run({.op = ConnectionOp::Unsubscribe, .subscribed_to = "room", .channel = "room"}).matched, 5u);
  EXPECT_EQ(source_->hub.local_subscribers("room"), 0u);
  EXPECT_EQ(run({.op = ConnectionOp::Unsubscribe, .user = "ann", .channel = "#ann"}).matched, 5u);
  EXPECT_EQ(look("ann"), 5u);
}

TEST_F(ConnectionCallsTest, WhatIsCounted) {
  const auto clients = [this](Done done) { nodes_.clients(std::move(done)); };
  EXPECT_EQ(number(clients), 0u);
  Client request = open(), ann = client_of("ann"), bob = client_of("bob", "news");
  EXPECT_EQ(number(clients), 2u) << "a request is none";
  EXPECT_EQ(number([this](Done done) { nodes_.subscribers("room", std::move(done)); }), 1u);
  EXPECT_EQ(number([this](Done done) { nodes_.subscribers("*", std::move(done)); }), 0u);
  nodes_.info([](Reply&& reply) {
    const json::Value& node = reply.result.get_array("nodes")->front();
    EXPECT_EQ(node.get_uint("num_clients"), 2u);
    EXPECT_EQ(node.get_uint("num_users"), 2u);
    EXPECT_EQ(node.get_uint("num_channels"), 4u) << "those of the users as well";
  });
  source_->connections.close_now(at(*source_, ann));
  EXPECT_EQ(number(clients), 1u);
}

}  // namespace
}  // namespace beamgate::api
