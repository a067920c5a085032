// Either end of a move dies, or says something wrong, at every step: each connection goes on at exactly one of them.
#include <functional>

#include "tests/unit/worker/move/two_workers.h"
#include "worker/move/decisions.h"

namespace beamgate::move {
namespace {

using namespace testing;
using ws::testing::client_frame;
using ws::testing::kText;

class MoveDeathsTest : public TwoWorkers {
 protected:
  // Runs a move of three clients, one half turn at a time, and breaks it off after `steps` of them.
  void break_off(int steps, const std::function<void()>& how) {
    std::vector<Client> clients;
    clients.push_back(connect("/echo"));
    clients.push_back(connect("/hub?a=room&b=other"));
    clients.push_back(connect("/app"));
    clients[0].send(client_frame(kText, "cut").substr(0, 8));
    source_->turn();
    source_->reports.clear();
    begin_move();
    for (int step = 0; step < steps; ++step) {
      Node& node = step % 2 == 0 ? *source_ : *destination_;
      node.hear();
      node.turn();
    }
    how();
    sequencer_.publish("room", "news");
    clients[0].send(client_frame(kText, "cut").substr(8));
    for (int i = 0; i < 10; ++i) turn_both();
    for (const Client& client : clients) {
      EXPECT_NE(is_at(*source_, client), is_at(*destination_, client)) << "broken off after step " << steps;
    }
    EXPECT_EQ(source_->connections.active() + destination_->connections.active(), 3u);
    EXPECT_EQ(said(clients[0]), "text cut\n") << "broken off after step " << steps;
    EXPECT_EQ(said(clients[1]), "text news\n") << "broken off after step " << steps;
    clients.clear();
    for (int i = 0; i < 4; ++i) turn_both();
    source_->moves.stop();
    destination_->moves.stop();
  }
};

TEST_F(MoveDeathsTest, TheDestinationStopsAtEveryStep) {
  for (int steps = 0; steps < 16; ++steps) break_off(steps, [this] { destination_->moves.stop(); });
}

TEST_F(MoveDeathsTest, TheSourceStopsAtEveryStep) {
  for (int steps = 0; steps < 16; ++steps) break_off(steps, [this] { source_->moves.stop(); });
}

// The other end of a move, in the test's hands.
class MoveTalkTest : public TwoWorkers {
 protected:
  template <typename Message>
  void say(const Message& message, const std::vector<int>& descriptors = {}) {
    ASSERT_TRUE(link_->try_send(message, descriptors).ok());
  }
  // The other end's next message of this kind; others are passed over.
  template <typename Message>
  bool hears(Node& node, Message& out) {
    bool found = false;
    for (int i = 0; i < 20 && !found; ++i) {
      node.hear();
      node.turn();
      static_cast<void>(link_->receive([&](Kind kind, std::string_view body, Link::Descriptors& descriptors) {
        for (UniqueFd& fd : descriptors) descriptors_.push_back(std::move(fd));
        if (kind == Message::kKind) found = ipc::decode(kept_ = std::string(body), out);
        return true;
      }));
    }
    return found;
  }
  void talk_to_source(ipc::MoveScope scope = ipc::MoveScope::All) {
    auto ends = std::move(ipc::Channel::make_pair()).value();
    page_.reset(memfd_create("decisions", MFD_CLOEXEC));
    ipc::Descriptors out;
    out.push_back(std::move(ends.first));
    out.emplace_back(dup(page_.get()));
    link_ = std::make_unique<Link>(loop_, std::move(ends.second), [] {});
    source_->moves.out({.move = 7, .scope = scope, .count = 10}, out);
  }
  void talk_to_destination() {
    auto ends = std::move(ipc::Channel::make_pair()).value();
    page_.reset(memfd_create("decisions", MFD_CLOEXEC));
    ipc::Descriptors in;
    in.push_back(std::move(ends.first));
    in.emplace_back(dup(page_.get()));
    link_ = std::make_unique<Link>(loop_, std::move(ends.second), [] {});
    destination_->moves.in(in);
  }

  uv::Loop loop_;
  UniqueFd page_;
  std::unique_ptr<Link> link_;
  std::string kept_;
  std::vector<UniqueFd> descriptors_;  // That came.
};

constexpr Hello kHello{.format_major = 1, .batch_max = 64, .room = 100};

TEST_F(MoveTalkTest, ARefusalOfOneConnectionIsOnlyItsOwn) {
  Client first = connect("/echo");
  Client second = connect("/echo");
  talk_to_source(ipc::MoveScope::Some);
  say(kHello);
  Offer offer;
  ASSERT_TRUE(hears(*source_, offer));
  EXPECT_EQ(offer.connections, 2u);
  say(Prepared{.batch = offer.batch, .accepted = 0b10, .room = 50});
  Commit commit;
  ASSERT_TRUE(hears(*source_, commit));
  auto decisions = std::move(Decisions::map(UniqueFd(dup(page_.get())))).value();
  EXPECT_EQ(decisions.give_back(offer.batch), Decisions::Fate::Committed);
  EXPECT_EQ(decisions.connections(offer.batch), 0b10u);
  say(Done{.batch = offer.batch});
  End end;
  ASSERT_TRUE(hears(*source_, end));
  EXPECT_TRUE(is_at(*source_, first));
  EXPECT_FALSE(is_at(*source_, second));
  first.send(client_frame(kText, "here"));
  EXPECT_EQ(said(first), "text here\n");
  EXPECT_FALSE(second.ended()) << "given away is not closed";
}

TEST_F(MoveTalkTest, WrongAnswersEndTheMoveAndNothingElse) {
  const std::vector<std::function<void(uint32_t)>> wrong = {
      [&](uint32_t batch) { say(Prepared{.batch = batch + 1, .accepted = 1}); },
      [&](uint32_t batch) { say(Done{.batch = batch}); },
      [&](uint32_t batch) { say(Subscribed{.batch = batch}); },
      [&](uint32_t) { say(kHello); },
      [&](uint32_t) { say(End{}); },
      [&](uint32_t batch) {
        // Given back by the destination, which then thinks better of it.
        auto decisions = std::move(Decisions::map(UniqueFd(dup(page_.get())))).value();
        EXPECT_EQ(decisions.give_back(batch), Decisions::Fate::Returned);
        say(Prepared{.batch = batch, .accepted = 1});
      },
      [&](uint32_t) { link_.reset(); },
  };
  Client client = connect("/echo");
  for (size_t i = 0; i < wrong.size(); ++i) {
    source_->reports.clear();
    talk_to_source();
    say(kHello);
    Offer offer;
    ASSERT_TRUE(hears(*source_, offer));
    EXPECT_TRUE(source_->connections.leaving(at(*source_, client)));
    wrong[i](offer.batch);
    for (int turns = 0; turns < 4; ++turns) {
      source_->hear();
      source_->turn();
    }
    ASSERT_FALSE(source_->reports.empty()) << i;
    EXPECT_FALSE(source_->reports.back().ok) << i;
    EXPECT_EQ(source_->reports.back().left, 1u) << i;
    client.send(client_frame(kText, "still here"));
    EXPECT_EQ(said(client), "text still here\n") << i;
  }
}

TEST_F(MoveTalkTest, AnotherVersionIsRefusedBeforeAnythingIsFrozen) {
  Client client = connect("/echo");
  for (const Hello& hello : {Hello{.version = kProtocolVersion + 1, .format_major = 1}, Hello{.format_major = 2}}) {
    source_->reports.clear();
    talk_to_source();
    say(hello);
    for (int turns = 0; turns < 4; ++turns) source_->turn();
    ASSERT_FALSE(source_->reports.empty());
    EXPECT_FALSE(source_->reports.back().ok);
    EXPECT_TRUE(is_at(*source_, client));
  }
}

// What a source would offer, taken from a real one and brought to a destination by the test.
class MoveOfferTest : public MoveTalkTest {
 protected:
  void take_offer() {
    talk_to_source();
    say(kHello);
    for (int i = 0; i < 20 && bytes_.empty(); ++i) {
      source_->turn();
      static_cast<void>(link_->receive([&](Kind kind, std::string_view body, Link::Descriptors& descriptors) {
        Offer offer;
        if (kind != Kind::Offer || !ipc::decode(body, offer)) return true;
        bytes_ = offer.bytes;
        for (UniqueFd& fd : descriptors) descriptors_.push_back(std::move(fd));
        return true;
      }));
    }
    ASSERT_FALSE(bytes_.empty());
    talk_to_destination();  // The source's end breaks, and it goes on alone.
    for (int i = 0; i < 4; ++i) source_->turn();
    ASSERT_TRUE(moved());
    say(kHello);
  }

  std::string bytes_;
};

TEST_F(MoveOfferTest, ADescriptorThatDidNotComeOrIsAnotherCostsItsConnectionOnly) {
  Client first = connect("/echo");
  Client second = connect("/echo");
  Client third = connect("/echo");
  take_offer();
  ASSERT_EQ(descriptors_.size(), 3u);
  int other[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
  const UniqueFd ends[2] = {UniqueFd(other[0]), UniqueFd(other[1])};
  // The first is right, the second is somebody else's, the third was dropped by the kernel.
  say(Offer{.batch = 1, .connections = 3, .bytes = bytes_}, {descriptors_[0].get(), other[0]});
  Prepared prepared;
  ASSERT_TRUE(hears(*destination_, prepared));
  EXPECT_EQ(prepared.accepted, 0b001u);
  EXPECT_EQ(destination_->connections.active(), 1u);
  EXPECT_FALSE(is_at(*destination_, first)) << "not ours before it is decided";
  link_.reset();
  for (int i = 0; i < 4; ++i) destination_->turn();
  EXPECT_EQ(destination_->connections.active(), 0u);
  for (Client* client : {&first, &second, &third}) {
    client->send(client_frame(kText, "unharmed"));
    EXPECT_EQ(said(*client), "text unharmed\n");
  }
}

TEST_F(MoveOfferTest, ADecisionHoldsEvenIfItsMessageNeverComes) {
  Client client = connect("/echo");
  take_offer();
  say(Offer{.batch = 1, .connections = 1, .bytes = bytes_}, {descriptors_[0].get()});
  Prepared prepared;
  auto decisions = std::move(Decisions::map(UniqueFd(dup(page_.get())))).value();
  decisions.open(1);
  ASSERT_TRUE(hears(*destination_, prepared));
  ASSERT_TRUE(decisions.commit(1, prepared.accepted));
  record::Record& stale = at(*source_, client);  // The real source had no part in this decision.
  source_->connections.freeze(stale, 0, 0);
  source_->connections.give_away(stale);
  link_.reset();
  for (int i = 0; i < 4; ++i) destination_->turn();
  EXPECT_TRUE(is_at(*destination_, client));
  client.send(client_frame(kText, "over there"));
  EXPECT_EQ(said(client), "text over there\n");
}

TEST_F(MoveOfferTest, DamagedBytesEndTheMove) {
  Client client = connect("/echo");
  take_offer();
  bytes_[bytes_.size() / 2] ^= 1;
  say(Offer{.batch = 1, .connections = 1, .bytes = bytes_}, {descriptors_[0].get()});
  Prepared prepared;
  EXPECT_FALSE(hears(*destination_, prepared));
  EXPECT_EQ(destination_->connections.active(), 0u);
  client.send(client_frame(kText, "unharmed"));
  EXPECT_EQ(said(client), "text unharmed\n");
}

TEST(DecisionsTest, TheFirstDecides) {
  const UniqueFd memfd(memfd_create("decisions", MFD_CLOEXEC));
  auto source = std::move(Decisions::map(UniqueFd(dup(memfd.get())))).value();
  auto destination = std::move(Decisions::map(UniqueFd(dup(memfd.get())))).value();
  source.open(1);
  EXPECT_TRUE(source.commit(1, 5));
  EXPECT_EQ(destination.give_back(1), Decisions::Fate::Committed);
  EXPECT_EQ(destination.connections(1), 5u);
  source.open(2);
  EXPECT_EQ(destination.give_back(2), Decisions::Fate::Returned);
  EXPECT_FALSE(source.commit(2, 5));
  EXPECT_EQ(source.give_back(2), Decisions::Fate::Returned);
  source.open(1 + Decisions::kPlaces);
  EXPECT_EQ(destination.give_back(1), Decisions::Fate::Returned) << "long forgotten";
  EXPECT_TRUE(source.commit(1 + Decisions::kPlaces, 1)) << "an old batch's number changes nothing";
}

TEST(DecisionsTest, ASuccessorLearnsWhoseAFrozenRecordIs) {
  UniqueFd memfd(memfd_create("decisions", MFD_CLOEXEC));
  const auto page = static_cast<uint32_t>(memfd.get()) + 1;
  auto source = std::move(Decisions::map(std::move(memfd))).value();
  const auto place = [](uint32_t batch, uint32_t index) { return batch << net::kPlaceIndexBits | index; };
  source.open(1);
  EXPECT_TRUE(source.commit(1, 0b01));
  source.open(2);  // Undecided.
  EXPECT_FALSE(is_ours(page, place(1, 0)));
  EXPECT_TRUE(is_ours(page, place(1, 1)));
  EXPECT_TRUE(is_ours(page, place(1, 0) | net::kPlaceArriving));
  EXPECT_FALSE(is_ours(page, place(1, 1) | net::kPlaceArriving));
  EXPECT_FALSE(is_ours(page, place(2, 0) | net::kPlaceArriving)) << "given back";
  EXPECT_TRUE(is_ours(page, place(2, 0)));
  EXPECT_FALSE(source.commit(2, 1)) << "and that is a decision";
}

}  // namespace
}  // namespace beamgate::move
