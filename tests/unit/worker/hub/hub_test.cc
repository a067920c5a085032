// The hub's index over subscriptions: interest is declared with the first subscriber and withdrawn with the
// last, a subscription is complete only when confirmed, and members stay right through any sequence.
#include "worker/hub/hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace beamgate::hub {
namespace {

using record::Record;
using testing::ElementsAre;

class FakeBus : public Bus {
 public:
  void send_interest(std::string_view channel) override { log.push_back("+" + std::string(channel)); }
  void send_withdraw(std::string_view channel) override { log.push_back("-" + std::string(channel)); }
  void send_known(const ipc::Known& message) override {
    const std::string what = message.confirmed ? std::string(message.epoch) + ' ' + std::to_string(message.offset) : "unconfirmed";
    known.push_back(std::string(message.channel) + ' ' + what);
  }
  void send_join(const ipc::Join& message) override {
    log.push_back("join " + std::string(message.channel) + (message.is_member ? ' ' + std::string(message.member.user) : ""));
    tickets.push_back(message.ticket);
    wants.push_back(message.wants);
  }
  void send_leave(const ipc::Leave& message) override { log.push_back("leave " + std::string(message.channel)); }
  void send_ask(const ipc::Ask& message) override {
    log.push_back("ask " + std::string(message.channel));
    tickets.push_back(message.ticket);
    wants.push_back(message.wants);
  }
  void send_ask_users(const ipc::AskUsers& message) override { tickets.push_back(message.ticket); }
  bool send_publish(const ipc::Publish& message) override {
    if (full) return false;
    tickets.push_back(message.ticket);
    return true;
  }
  std::vector<std::string> log;
  std::vector<std::string> known;
  std::vector<uint64_t> tickets;
  std::vector<uint8_t> wants;  // Of joins and questions.
  bool full = false;
};

class FakeDeliverer : public Deliverer {
 public:
  void deliver(const Publication&, std::span<const uint32_t> slots) override {
    delivered.assign(slots.begin(), slots.end());
  }
  void deliver_gap(std::string_view, uint64_t, std::span<const uint32_t> slots) override {
    delivered.assign(slots.begin(), slots.end());
  }
  void deliver_presence(const ipc::PresenceChange& change, std::span<const uint32_t> slots) override {
    delivered.assign(slots.begin(), slots.end());
    std::string what = std::to_string(change.number) + (change.whole ? " list" : "");
    for (const ipc::MemberChange& each : change.changes) what += ' ' + std::string(each.member.user);
    for (const uint32_t slot : slots) told[slot].push_back(what);
  }
  void joined(record::Record&, std::string_view tag, const ipc::ChannelState& state) override {
    log.push_back(std::string(tag) + ' ' + std::string(state.channel) + ' ' + std::to_string(state.offset));
  }
  std::vector<uint32_t> delivered;
  std::map<uint32_t, std::vector<std::string>> told;  // Changes of members, by subscriber.
  std::vector<std::string> log;
};

class HubTest : public testing::Test {
 protected:
  HubTest() : arena_(std::move(record::Arena::map(UniqueFd(), 64)).value()) {
    for (uint32_t slot = 0; slot < 64; ++slot) {
      arena_.records()[slot] = Record{};
      arena_.records()[slot].generation = 1;
    }
  }
  Record& at(uint32_t slot) { return arena_.records()[slot]; }
  void confirm(std::string_view channel, uint64_t offset = 0) {
    hub_.on_interest_ack({.channel = channel, .epoch = "epoch", .offset = offset});
  }
  void change(uint64_t number, std::string_view channel = "a") {
    hub_.on_presence_change({.number = number, .channel = channel, .listed = true, .changes = {}});
  }
  std::set<uint32_t> deliver(std::string_view channel) {
    deliverer_.delivered.clear();
    hub_.on_deliver({.offset = 1, .channel = channel, .payload = "x"});
    return {deliverer_.delivered.begin(), deliverer_.delivered.end()};
  }

  record::Arena arena_;
  metrics::Page page_{};
  FakeBus bus_;
  FakeDeliverer deliverer_;
  Hub hub_{arena_, bus_, deliverer_, page_};
};

// The replay holds 16 MiB: whoever lacks more than is left of it stays where it is.
TEST_F(HubTest, WhoLacksWhatTheReplayHasLostCannotArrive) {
  ASSERT_TRUE(hub_.hold("a"));
  confirm("a");
  const std::string payload(1 << 20, 'x');
  for (uint64_t offset = 1; offset <= 20; ++offset) {
    hub_.on_deliver({.offset = offset, .channel = "a", .payload = payload});
  }
  const Hub::Position lost{"a", "epoch", 0};
  EXPECT_FALSE(hub_.arrive(at(1), {&lost, 1}));
  EXPECT_FALSE(hub_.is_subscribed(at(1), "a"));
  EXPECT_TRUE(deliverer_.delivered.empty());
  const Hub::Position kept{"a", "epoch", 18};
  EXPECT_TRUE(hub_.arrive(at(2), {&kept, 1}));
  EXPECT_THAT(deliverer_.delivered, ElementsAre(2u));
  hub_.release("a");
  EXPECT_EQ(deliver("a"), std::set<uint32_t>{2});
}

// --- Who comes and goes, over moves.

TEST_F(HubTest, WhoArrivesIsToldTheChangesThatItLacksAndNoneTwice) {
  ASSERT_TRUE(hub_.hold("a"));
  hub_.on_interest_ack({.channel = "a", .epoch = "epoch", .offset = 0, .presence = 4});
  change(5);
  change(6);
  const Hub::Position behind{"a", "epoch", 0, 5}, ahead{"a", "epoch", 0, 8};
  ASSERT_TRUE(hub_.arrive(at(1), {&behind, 1}));
  ASSERT_TRUE(hub_.arrive(at(2), {&ahead, 1}));
  hub_.release("a");
  for (uint64_t number = 7; number <= 9; ++number) change(number);
  EXPECT_THAT(deliverer_.told[1], ElementsAre("6", "7", "8", "9"));
  EXPECT_THAT(deliverer_.told[2], ElementsAre("9"));
  EXPECT_EQ(hub_.positions_of(at(2))[0].presence, 9u);
}

TEST_F(HubTest, WhoHasHeardMoreElsewhereTakesThatAlong) {
  ASSERT_TRUE(hub_.hold("a"));
  confirm("a");
  const Hub::Position ahead{"a", "epoch", 0, 8};
  ASSERT_TRUE(hub_.arrive(at(1), {&ahead, 1}));
  change(1);
  EXPECT_EQ(hub_.positions_of(at(1))[0].presence, 8u) << "it may leave again before the others have come so far";
  EXPECT_THAT(deliverer_.told[1], ElementsAre());
}

TEST_F(HubTest, ChangesThatNobodyKeptAreNotArrivedBehind) {
  ASSERT_TRUE(hub_.hold("a"));
  hub_.on_interest_ack({.channel = "a", .epoch = "epoch", .presence = 4});
  const Hub::Position lost{"a", "epoch", 0, 3};
  EXPECT_FALSE(hub_.arrive(at(1), {&lost, 1})) << "it stays where it is, and is offered again";
}

TEST_F(HubTest, WhoseChangesAreNotKnownIsToldEverybodyOnce) {
  ASSERT_TRUE(hub_.hold("a"));
  hub_.on_interest_ack({.channel = "a", .epoch = "epoch", .presence = 4});
  const Hub::Position unknown{"a", "epoch", 0};
  at(1).phase = record::Phase::WebSocket;
  ASSERT_TRUE(hub_.arrive(at(1), {&unknown, 1}));
  EXPECT_EQ(hub_.positions_of(at(1))[0].presence, std::nullopt) << "owed still, wherever it goes";
  hub_.tell_members(at(1));
  EXPECT_EQ(bus_.log.back(), "ask a");
  change(5);
  const auto answer = [&] {
    hub_.on_channel_state({.ticket = bus_.tickets.back(), .channel = "a", .users = 1, .connections = 1, .listed = true,
                           .members = {{.uid = 7, .user = "ada"}}});
  };
  answer();
  EXPECT_THAT(deliverer_.told[1], ElementsAre("5", "5 list ada"));
  EXPECT_EQ(hub_.positions_of(at(1))[0].presence, 5u);
  hub_.tell_members(at(1));
  answer();
  EXPECT_EQ(deliverer_.told[1].size(), 2u);
}

TEST_F(HubTest, AGapIsOneOfChangesToo) {
  ASSERT_TRUE(hub_.hold("a"));
  confirm("a");
  const Hub::Position ahead{"a", "epoch", 0, 3}, even{"a", "epoch", 0, 0};
  ASSERT_TRUE(hub_.arrive(at(1), {&ahead, 1}));
  ASSERT_TRUE(hub_.arrive(at(2), {&even, 1}));
  hub_.on_gap({.offset = 0, .presence = 2, .channel = "a"});
  EXPECT_THAT(deliverer_.delivered, ElementsAre(2u)) << "the other one has them";
  hub_.on_gap({.offset = 0, .presence = 4, .channel = "a"});
  EXPECT_THAT(deliverer_.delivered, testing::UnorderedElementsAre(1u, 2u));
  EXPECT_EQ(hub_.place_of("a")->presence, 4u);
}

TEST_F(HubTest, AGapCountsThePublicationsThatAreMissing) {
  const auto counted = [this] { return page_.get(metrics::Metric::HubGaps); };
  ASSERT_TRUE(hub_.subscribe(at(1), "a").ok());
  hub_.on_interest_ack({.channel = "a", .epoch = "epoch", .offset = 100});
  hub_.on_deliver({.offset = 101, .channel = "a", .payload = "x"});
  hub_.on_gap({.offset = 110, .channel = "a"});
  EXPECT_EQ(counted(), 9u);
  hub_.on_gap({.offset = 110, .presence = 1, .channel = "a"});
  EXPECT_EQ(counted(), 10u) << "a change of its members";
  hub_.on_missed({.offset = 112, .presence = 1, .channel = "a"});
  EXPECT_EQ(counted(), 12u);
  hub_.on_gap({.offset = 1'000, .channel = "of a pattern"});
  EXPECT_EQ(counted(), 13u) << "at least one";
}

TEST_F(HubTest, ASuccessorKnowsHowFarTheChangesWereTold) {
  ASSERT_TRUE(hub_.hold("a"));
  confirm("a");
  const Hub::Position ahead{"a", "epoch", 0, 3}, unknown{"b", "epoch", 0};
  ASSERT_TRUE(hub_.hold("b"));
  confirm("b");
  const std::vector<Hub::Position> both = {ahead, unknown};
  ASSERT_TRUE(hub_.arrive(at(1), both));
  ASSERT_TRUE(hub_.subscribe(at(2), "a").ok());
  change(1);

  record::Arena arena = std::move(record::Arena::map(UniqueFd(), 64)).value();
  FakeDeliverer deliverer;
  Hub successor(arena, bus_, deliverer, page_);
  for (const uint32_t slot : {1u, 2u}) {
    arena.records()[slot] = Record{};
    arena.records()[slot].generation = 1;
    ASSERT_TRUE(successor.copy_from(arena_, at(slot), arena.records()[slot]));
  }
  EXPECT_EQ(successor.positions_of(arena.records()[1])[1].presence, std::nullopt);
  for (uint64_t number = 2; number <= 4; ++number) {
    successor.on_presence_change({.number = number, .channel = "a", .changes = {}});
  }
  EXPECT_THAT(deliverer.told[1], ElementsAre("4"));
  EXPECT_THAT(deliverer.told[2], ElementsAre("2", "3", "4"));
}

// The only one that is joining: what it will have been told with the answer must not be told again after a move.
TEST_F(HubTest, WhatComesBeforeTheAnswerToAJoinCounts) {
  ASSERT_TRUE(hub_.join(at(1), "a", {.member = true, .user = "ada"}).ok());
  confirm("a");
  hub_.on_deliver({.offset = 1, .channel = "a", .payload = "x"});
  change(1);
  hub_.on_channel_state({.ticket = bus_.tickets.back(), .channel = "a", .offset = 1});
  EXPECT_EQ(hub_.positions_of(at(1))[0].offset, 1u);
  EXPECT_EQ(hub_.positions_of(at(1))[0].presence, 1u);
}

TEST_F(HubTest, SubscribersAreThoseWhoAreJoiningToo) {
  const auto slots = [this](std::string_view channel) {
    std::vector<uint32_t> out;
    for (const record::ConnId id : hub_.subscribers_of(channel)) out.push_back(id.slot);
    return out;
  };
  for (uint32_t slot = 1; slot <= 4; ++slot) at(slot).phase = record::Phase::WebSocket;
  ASSERT_TRUE(hub_.subscribe(at(3), "a").ok());
  ASSERT_TRUE(hub_.join(at(2), "b", {.member = true, .user = "ada"}).ok());
  ASSERT_TRUE(hub_.join(at(2), "a", {.member = true, .user = "ada"}).ok());
  const uint64_t ticket = bus_.tickets.back();
  ASSERT_TRUE(hub_.join(at(1), "a", {.member = true, .user = "bob"}).ok());
  EXPECT_THAT(slots("a"), ElementsAre(1, 2, 3));
  EXPECT_THAT(slots("b"), ElementsAre(2));
  EXPECT_THAT(slots("c"), ElementsAre());
  hub_.on_channel_state({.ticket = ticket, .channel = "a"});
  EXPECT_THAT(slots("a"), ElementsAre(1, 2, 3));
  hub_.unsubscribe(at(1), "a");
  EXPECT_THAT(slots("a"), ElementsAre(2, 3));
  ASSERT_TRUE(hub_.join(at(1), "a", {.member = true, .user = "bob"}).ok());
  hub_.unsubscribe_all(at(2));
  EXPECT_THAT(slots("a"), ElementsAre(1, 3)) << "once, whatever is under way for it";

  arena_.vault().slots_touched = 64;
  hub_.on_recount();  // A new master: what was under way is begun again.
  EXPECT_THAT(slots("a"), ElementsAre(1, 3));
  hub_.on_recounted();
  EXPECT_THAT(slots("a"), ElementsAre(1, 3));
  at(1).generation = 2;  // Somebody else has the place.
  EXPECT_THAT(slots("a"), ElementsAre(3));
  at(1).generation = 1;
}

// Nobody has missed nothing because a pattern's own offset is where it was.
TEST_F(HubTest, NobodyGoesOnFromAPlaceInAPattern) {
  hub_.set_is_pattern([](std::string_view name) { return name.starts_with("wild."); });
  constexpr uint8_t kBoth = ipc::kStateRecover | ipc::kStateMembers;
  for (const char* channel : {"wild.*", "wild.a", "plain.*"}) {
    ASSERT_TRUE(hub_.join(at(1), channel, {.wants = kBoth, .epoch = "epoch", .after = 3}).ok());
    hub_.ask({.channel = channel, .wants = kBoth, .epoch = "epoch", .after = 3}, [](const ipc::ChannelState&) {});
  }
  EXPECT_THAT(bus_.wants, ElementsAre(ipc::kStateMembers, ipc::kStateMembers, kBoth, kBoth, kBoth, kBoth));
  hub_.set_is_pattern({});
  EXPECT_FALSE(hub_.is_pattern("wild.*"));
}

TEST_F(HubTest, InterestWithTheFirstWithdrawalWithTheLast) {
  EXPECT_EQ(hub_.subscribe(at(1), "a").value(), Subscribed::Pending);
  EXPECT_EQ(hub_.subscribe(at(2), "a").value(), Subscribed::Pending);
  confirm("a");
  EXPECT_EQ(hub_.subscribe(at(3), "a").value(), Subscribed::Now);
  EXPECT_EQ(hub_.subscribe(at(3), "a").value(), Subscribed::Now);
  EXPECT_THAT(bus_.log, ElementsAre("+a"));
  EXPECT_EQ(deliver("a"), (std::set<uint32_t>{1, 2, 3}));
  hub_.unsubscribe_all(at(1));
  EXPECT_TRUE(hub_.unsubscribe(at(2), "a"));
  EXPECT_FALSE(hub_.unsubscribe(at(2), "a"));
  EXPECT_EQ(deliver("a"), std::set<uint32_t>{3});
  hub_.unsubscribe_all(at(3));
  EXPECT_THAT(bus_.log, ElementsAre("+a", "-a"));
  EXPECT_EQ(arena_.bytes_live(), 0u);
}

TEST_F(HubTest, ThoseWhoWaitAreToldOnceConfirmedAndOnlyIfTheyAreStillThere) {
  std::vector<uint32_t> told;
  hub_.set_on_subscribed([&](record::ConnId id, std::string_view) { told.push_back(id.slot); });
  ASSERT_TRUE(hub_.subscribe(at(1), "a").ok());
  ASSERT_TRUE(hub_.subscribe(at(2), "a").ok());
  EXPECT_FALSE(hub_.all_confirmed(at(1)));
  hub_.unsubscribe_all(at(1));
  confirm("a");
  EXPECT_THAT(told, ElementsAre(2));
  EXPECT_TRUE(hub_.all_confirmed(at(2)));
  hub_.unsubscribe_all(at(2));
}

TEST_F(HubTest, ALateConfirmationIsNotTakenForTheNextInterest) {
  ASSERT_TRUE(hub_.subscribe(at(1), "a").ok());
  hub_.unsubscribe_all(at(1));
  EXPECT_THAT(bus_.log, ElementsAre("+a")) << "withdrawn only when the first interest is confirmed";
  EXPECT_EQ(hub_.subscribe(at(2), "a").value(), Subscribed::Pending);
  confirm("a");
  EXPECT_TRUE(hub_.all_confirmed(at(2)));
  EXPECT_THAT(bus_.log, ElementsAre("+a"));
  hub_.unsubscribe_all(at(2));
  EXPECT_THAT(bus_.log, ElementsAre("+a", "-a"));
}

TEST_F(HubTest, ChannelNamesAreChecked) {
  EXPECT_EQ(hub_.subscribe(at(1), "").error().code, Code::Invalid);
  EXPECT_EQ(hub_.subscribe(at(1), std::string(256, 'a')).error().code, Code::Invalid);
  EXPECT_EQ(hub_.subscribe(at(1), "a\nb").error().code, Code::Invalid);
  EXPECT_TRUE(hub_.subscribe(at(1), std::string(255, 'a')).ok());
  hub_.unsubscribe_all(at(1));
  confirm(std::string(255, 'a'));
}

TEST_F(HubTest, OneConnectionsSubscriptionsAreBounded) {
  for (uint32_t i = 0; i < Hub::kSubscriptionsMax; ++i) {
    ASSERT_TRUE(hub_.subscribe(at(1), "c" + std::to_string(i)).ok());
  }
  EXPECT_EQ(hub_.subscribe(at(1), "one more").error().code, Code::LimitReached);
  hub_.unsubscribe_all(at(1));
  for (uint32_t i = 0; i < Hub::kSubscriptionsMax; ++i) confirm("c" + std::to_string(i));
  EXPECT_EQ(arena_.bytes_live(), 0u);
}

// What a SubscriberLimit has been told, and a limit on what it lets in.
class TwoPlaces final : public SubscriberLimit {
 public:
  bool admit(std::string_view channel, size_t here) override {
    if (here >= 2) return false;
    counts[std::string(channel)] = here + 1;
    return true;
  }
  void count(std::string_view channel, size_t here) override { counts[std::string(channel)] = here; }
  std::map<std::string, size_t> counts;
};

TEST_F(HubTest, ALimitIsAskedAndToldOfEverySubscription) {
  TwoPlaces limit;
  hub_.set_limit(&limit);
  ASSERT_TRUE(hub_.join(at(1), "a", {.wants = ipc::kStateNewest}).ok());  // It counts before the master answers.
  EXPECT_EQ(limit.counts["a"], 1u);
  ASSERT_TRUE(hub_.subscribe(at(2), "a").ok());
  EXPECT_EQ(hub_.subscribe(at(3), "a").error().code, Code::LimitReached);
  EXPECT_EQ(hub_.join(at(3), "a", {}).error().code, Code::LimitReached);
  confirm("a");
  hub_.on_channel_state({.ticket = bus_.tickets.back(), .channel = "a"});
  EXPECT_EQ(limit.counts["a"], 2u);
  hub_.unsubscribe(at(1), "a");
  EXPECT_EQ(limit.counts["a"], 1u);
  ASSERT_TRUE(hub_.subscribe(at(3), "a").ok());
  hub_.unsubscribe_all(at(2));
  hub_.unsubscribe_all(at(3));
  EXPECT_EQ(limit.counts["a"], 0u);
  hub_.set_limit(nullptr);
}

TEST_F(HubTest, MembersAgainstAModel) {
  std::mt19937 random(3);
  std::map<std::string, std::set<uint32_t>> model;
  const auto name = [&] { return "channel-" + std::to_string(random() % 12); };
  for (int step = 0; step < 30'000; ++step) {
    const uint32_t slot = static_cast<uint32_t>(random() % 64);
    const std::string channel = name();
    switch (random() % 4) {
      case 0:
      case 1:
        ASSERT_TRUE(hub_.subscribe(at(slot), channel).ok());
        confirm(channel);
        model[channel].insert(slot);
        break;
      case 2:
        ASSERT_EQ(hub_.unsubscribe(at(slot), channel), model[channel].erase(slot) == 1);
        break;
      default:
        if (random() % 8 == 0) {
          hub_.unsubscribe_all(at(slot));
          for (auto& [unused, members] : model) members.erase(slot);
        }
    }
    if (step % 64 == 0) {
      for (const auto& [checked, members] : model) ASSERT_EQ(deliver(checked), members);
    }
  }
  for (uint32_t slot = 0; slot < 64; ++slot) hub_.unsubscribe_all(at(slot));
  EXPECT_EQ(arena_.bytes_live(), 0u);
}

TEST_F(HubTest, PublishTellsTheReceiptAndWhenThereIsRoomAgain) {
  uint64_t offset = 0;
  ASSERT_TRUE(hub_.publish("a", "x", {}, [&](const PublishReceipt& receipt) { offset = receipt.offset; }));
  hub_.on_publish_ack({.ticket = bus_.tickets.at(0), .offset = 42, .epoch = "e"});
  EXPECT_EQ(offset, 42u);
  int rooms = 0;
  hub_.add_on_room([&] { ++rooms; });
  hub_.on_room();
  EXPECT_EQ(rooms, 0) << "nobody was refused";
  bus_.full = true;
  EXPECT_FALSE(hub_.publish("a", "x", {}));
  hub_.on_room();
  EXPECT_EQ(rooms, 1);
}

TEST_F(HubTest, ALostBusFailsWhatWaits) {
  bool accepted = true;
  ASSERT_TRUE(hub_.publish("a", "x", {}, [&](const PublishReceipt& receipt) { accepted = receipt.accepted; }));
  hub_.on_bus_lost();
  EXPECT_FALSE(accepted);
}

TEST_F(HubTest, WhatADeadMasterTookAlongEndsNoSubscription) {
  ASSERT_TRUE(hub_.subscribe(at(1), "a").ok());
  confirm("a", 7);
  deliverer_.delivered.clear();
  hub_.on_missed({.offset = 9, .channel = "a"});
  hub_.on_missed({.offset = 9, .channel = "nobody's"});
  EXPECT_TRUE(deliverer_.delivered.empty());
  EXPECT_EQ(hub_.place_of("a")->offset, 9u);
  EXPECT_TRUE(hub_.is_subscribed(at(1), "a"));
}

TEST_F(HubTest, AnotherMasterIsToldEveryChannelAndFailsWhatTheDeadOneHad) {
  ASSERT_TRUE(hub_.subscribe(at(1), "old").ok());
  confirm("old", 7);
  ASSERT_TRUE(hub_.subscribe(at(1), "new").ok());
  std::vector<std::string> told;
  const auto note = [&told](const char* what) {
    return [&told, what](const PublishReceipt& receipt) { told.push_back(std::string(what) + (receipt.accepted ? " yes" : " no")); };
  };
  ASSERT_TRUE(hub_.publish("old", "x", {}, note("lost")));
  ASSERT_TRUE(hub_.publish("old", "y", {}, note("held")));
  hub_.on_recount();
  std::sort(bus_.known.begin(), bus_.known.end());
  EXPECT_EQ(bus_.known, (std::vector<std::string>{"new unconfirmed", "old epoch 7"}));
  ASSERT_TRUE(hub_.publish("old", "z", {}, note("later")));
  hub_.on_publish_ack({bus_.tickets[1], 8, "epoch"});
  hub_.on_recounted();
  EXPECT_EQ(told, (std::vector<std::string>{"held yes", "lost no"}));
}

}  // namespace
}  // namespace beamgate::hub
