// A bus in the place of a dead master's: what the workers know becomes its state, and what they had sent is handled
// after all have told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>

#include "master/bus/bus.h"

namespace beamgate::master {
namespace {

using testing::ElementsAre;

struct Counts : Bus::Observer {
  void on_ready(uint16_t slot, uint32_t generation) override { ready[slot] = generation; }
  void on_prepared(uint16_t, const ipc::Prepared&) override {}
  void on_moved(uint16_t, const ipc::Moved&) override {}
  void on_recounted() override { ++recounted; }
  void on_bus_closed(uint16_t) override {}
  void on_misbehaved(uint16_t slot, const char*) override { misbehaved.push_back(slot); }
  std::map<uint16_t, uint32_t> ready;
  std::vector<uint16_t> misbehaved;
  int recounted = 0;
};

struct BusRecountTest : testing::Test {
  static constexpr uint16_t kA = 3, kB = 130;

  BusRecountTest() {
    for (const uint16_t slot : {kA, kB}) {
      auto ends = ipc::Channel::make_pair();
      EXPECT_TRUE(dead_->attach(slot, slot, std::move(ends.value().first)).ok());
      workers_[slot] = std::make_unique<ipc::Channel>(std::move(ends.value().second));
      workers_[slot]->send(ipc::Hello{.worker = slot});
      workers_[slot]->send(ipc::Ready{1});
    }
    turn(*dead_);
  }

  void turn(Bus& bus) {
    for (int i = 0; i < 4; ++i) {
      for (auto& [slot, worker] : workers_) static_cast<void>(worker->flush().ok());
      loop_.run_turn(0);
      bus.flush();
    }
  }

  // The sockets stay, the master's memory goes.
  void kill_master() {
    HandoverState state;
    for (const uint16_t slot : {kA, kB}) state.slots.push_back({.slot = slot});
    dead_->leave_ports(state);
    for (auto& slot : state.slots) {
      slot.bus = dup(slot.bus);
      slot.bus_sent = slot.bus_received = 0;  // Nobody knows.
      slot.pid = 1;
    }
    dead_.reset();
    ASSERT_TRUE(bus_.adopt(state).ok());
    bus_.recount();
    turn(bus_);
  }

  void know(uint16_t slot, const std::string& channel, uint64_t offset, const std::string& epoch = "epoch",
            uint64_t presence = 0) {
    workers_[slot]->send(
        ipc::Known{.confirmed = true, .offset = offset, .presence = presence, .epoch = epoch, .channel = channel});
  }
  void end_account(uint16_t slot, uint32_t generation = 1) { workers_[slot]->send(ipc::KnownAll{generation}); }

  // What a worker gets, a text for each message.
  std::vector<std::string> read(uint16_t slot) {
    std::vector<std::string> out;
    static_cast<void>(workers_[slot]->receive([&](const ipc::Frame& frame) {
      ipc::Deliver deliver;
      ipc::PublishAck ack;
      ipc::InterestAck interest;
      ipc::Missed missed;
      ipc::PresenceChange change;
      if (frame.kind == ipc::Kind::Deliver && ipc::decode(frame.body, deliver)) {
        out.push_back(std::string(deliver.channel) + ' ' + std::to_string(deliver.offset) + ' ' +
                      std::string(deliver.payload.substr(0, 9)));
      } else if (frame.kind == ipc::Kind::PublishAck && ipc::decode(frame.body, ack)) {
        out.push_back("ack " + std::to_string(ack.offset) + ' ' + std::string(ack.epoch));
      } else if (frame.kind == ipc::Kind::InterestAck && ipc::decode(frame.body, interest)) {
        out.push_back("interest " + std::string(interest.channel));
      } else if (frame.kind == ipc::Kind::Missed && ipc::decode(frame.body, missed)) {
        out.push_back("missed " + std::to_string(missed.offset));
        if (missed.presence > 0) out.back() += '/' + std::to_string(missed.presence);
      } else if (frame.kind == ipc::Kind::PresenceChange && ipc::decode(frame.body, change)) {
        out.push_back("presence " + std::to_string(change.number) + (change.whole ? " list" : ""));
        for (const ipc::MemberChange& each : change.changes) out.back() += ' ' + std::string(each.member.user);
      } else if (frame.kind == ipc::Kind::Recount) {
        out.push_back("recount");
      } else if (frame.kind == ipc::Kind::Recounted) {
        out.push_back("recounted");
      }
      return true;
    }));
    return out;
  }

  EventLoop loop_;
  log::Log log_{"test"};
  Counts events_;
  std::unique_ptr<Bus> dead_ = std::make_unique<Bus>(loop_, log_, events_);
  Bus bus_{loop_, log_, events_};
  std::map<uint16_t, std::unique_ptr<ipc::Channel>> workers_;
};

TEST_F(BusRecountTest, NumbersGoOnBehindTheHighestThatAnybodyKnows) {
  // What lies in the socket as the master dies comes before the accounts, and is handled behind them.
  workers_[kA]->send(ipc::Publish{.ticket = 7, .channel = "room", .payload = "early"});
  ASSERT_TRUE(workers_[kA]->flush().ok());
  kill_master();
  know(kA, "room", 5);
  know(kB, "room", 4);
  end_account(kA, 2);
  turn(bus_);
  EXPECT_TRUE(bus_.recounting()) << "one is missing";
  EXPECT_EQ(events_.recounted, 0);
  end_account(kB);
  turn(bus_);
  EXPECT_EQ(events_.recounted, 1);
  EXPECT_FALSE(bus_.recounting());
  EXPECT_THAT(read(kA), ElementsAre("recount", "room 6 early", "ack 6 epoch", "recounted"));
  EXPECT_THAT(read(kB), ElementsAre("recount", "missed 5", "room 6 early", "recounted"));
  EXPECT_EQ(events_.ready[kA], 2u);
  EXPECT_TRUE(events_.misbehaved.empty());
}

// The dead one has taken along who came and went last: the list tells, whatever was told before.
TEST_F(BusRecountTest, MembersAreToldAnewToEverybody) {
  auto config = std::make_shared<config::Config>();
  config->http.channels.push_back(std::make_shared<config::ChannelRules>(config::ChannelRules{.pattern = "room", .presence = true}));
  bus_.follow(config);
  kill_master();
  know(kA, "room", 5, "epoch", 7);
  know(kA, "plain", 1);
  know(kB, "room", 5, "epoch", 6);
  const ipc::Member ada{.uid = 1, .user = "ada"}, bob{.uid = 2, .user = "bob"};
  workers_[kA]->send(ipc::Join{.channel = "room", .is_member = true, .quiet = true, .member = ada});
  workers_[kB]->send(ipc::Join{.channel = "room", .is_member = true, .member = bob});  // Just come.
  end_account(kA);
  end_account(kB);
  turn(bus_);
  EXPECT_THAT(read(kA), ElementsAre("recount", "recounted", "presence 8 bob",
                                    testing::AnyOf("presence 9 list ada bob", "presence 9 list bob ada")));
  EXPECT_THAT(read(kB), ElementsAre("recount", "missed 5/7", "recounted", "presence 8 bob",
                                    testing::AnyOf("presence 9 list ada bob", "presence 9 list bob ada")));
}

TEST_F(BusRecountTest, WhereNobodyIsAnEmptyListIsTold) {
  auto config = std::make_shared<config::Config>();
  config->http.channels.push_back(std::make_shared<config::ChannelRules>(config::ChannelRules{.pattern = "room", .presence = true}));
  bus_.follow(config);
  kill_master();
  know(kA, "room", 5, "epoch", 7);
  end_account(kA);
  end_account(kB);
  turn(bus_);
  EXPECT_THAT(read(kA), ElementsAre("recount", "recounted", "presence 8 list"));
}

TEST_F(BusRecountTest, AnInterestThatWasNotConfirmedIsConfirmed) {
  kill_master();
  workers_[kA]->send(ipc::Known{.confirmed = false, .channel = "new"});
  know(kB, "new", 9);
  end_account(kA);
  end_account(kB);
  turn(bus_);
  EXPECT_THAT(read(kA), ElementsAre("recount", "interest new", "recounted"));
  EXPECT_EQ(bus_.channels().find("new")->offset, 9u);
  EXPECT_TRUE(bus_.channels().find("new")->interested.contains(kA));
}

TEST_F(BusRecountTest, AnotherEpochIsMissedWholly) {
  kill_master();
  know(kA, "room", 5);
  know(kB, "room", 50, "other");
  end_account(kA);
  end_account(kB);
  turn(bus_);
  EXPECT_THAT(read(kA), ElementsAre("recount", "recounted"));
  EXPECT_THAT(read(kB), ElementsAre("recount", "missed 5", "recounted"));
}

TEST_F(BusRecountTest, TheEndOfAFrameWhoseBeginningIsLostIsSkipped) {
  const std::string large(ipc::kPacketBytesMax * 3, 'x');
  workers_[kA]->send(ipc::Publish{.channel = "room", .payload = large});
  ASSERT_TRUE(workers_[kA]->flush().ok());
  loop_.run_turn(0);  // The dead master has read it, or a part of it: whatever it has is lost.
  kill_master();
  know(kB, "room", 1);
  end_account(kA);
  end_account(kB);
  workers_[kA]->send(ipc::Publish{.channel = "room", .payload = "next"});
  turn(bus_);
  EXPECT_THAT(read(kB), ElementsAre("recount", "room 2 next", "recounted"));
  EXPECT_TRUE(events_.misbehaved.empty());
}

TEST_F(BusRecountTest, OneThatHangsUpIsNotWaitedFor) {
  kill_master();
  know(kA, "room", 5);
  end_account(kA);
  workers_.erase(kB);
  turn(bus_);
  EXPECT_EQ(events_.recounted, 1);
  EXPECT_FALSE(bus_.recounting());
}

TEST_F(BusRecountTest, WhatNobodyAskedForEndsTheWorker) {
  kill_master();
  end_account(kA);
  end_account(kB);
  turn(bus_);
  know(kA, "room", 1'000);
  turn(bus_);
  EXPECT_THAT(events_.misbehaved, ElementsAre(kA));
}

TEST_F(BusRecountTest, NamesAndEpochsAreChecked) {
  kill_master();
  know(kA, "", 1);
  know(kB, "room", 1, std::string(16, 'e'));
  turn(bus_);
  EXPECT_THAT(events_.misbehaved, ElementsAre(kA, kB));
  EXPECT_EQ(events_.recounted, 1) << "nobody is left to wait for";
}

}  // namespace
}  // namespace beamgate::master
