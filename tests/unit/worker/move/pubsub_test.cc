// Publications and changes of members before, during and after a move, heard by both workers at any time: each subscriber
// gets each of them once and in order.
#include <random>

#include "tests/unit/worker/move/two_workers.h"

namespace beamgate::move {
namespace {

using namespace testing;
using ws::testing::client_frame;
using ws::testing::kText;

class MovePubSubTest : public TwoWorkers {
 protected:
  // Or somebody comes, which has its place in the same order.
  void publish(const std::string& channel) {
    const int number = ++published_[channel];
    const std::string text = channel + std::to_string(number);
    number % 3 == 0 ? sequencer_.enter(channel, text) : sequencer_.publish(channel, text);
  }
  // What the subscriber of these channels must have been told by now, channel by channel.
  void expect_everything(Client& client, const std::vector<std::string>& channels, const std::string& where = "") {
    heard_[client.uid] += said(client);
    for (const std::string& channel : channels) {
      std::string expected, got;
      for (int i = 1; i <= published_[channel]; ++i) expected += "text " + channel + std::to_string(i) + "\n";
      const std::string& all = heard_[client.uid];
      for (size_t at = 0; at < all.size();) {
        const size_t end = all.find('\n', at) + 1;
        if (all.substr(at).starts_with("text " + channel)) got += all.substr(at, end - at);
        at = end;
      }
      ASSERT_EQ(got, expected) << where;
    }
  }

  std::map<std::string, int> published_;
  std::map<uint64_t, std::string> heard_;
};

TEST_F(MovePubSubTest, BeforeMeanwhileAndAfter) {
  Client client = connect("/hub?a=room&b=news");
  publish("room");
  begin_move();
  for (int i = 0; i < 40 && !moved(); ++i) {
    publish(i % 2 == 0 ? "room" : "news");
    turn_both();
  }
  ASSERT_TRUE(moved());
  publish("news");
  expect_everything(client, {"room", "news"});
  EXPECT_TRUE(source_->bus.interests.empty()) << "nobody is left who would hear it there";
}

TEST_F(MovePubSubTest, InAnyInterleaving) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const std::string room = "room-" + std::to_string(seed) + ".", news = "news-" + std::to_string(seed) + ".";
    std::vector<Client> clients;
    clients.push_back(connect("/hub?a=" + room + "&b=" + news));
    clients.push_back(connect("/hub?a=" + room + "&b=" + room));
    clients.push_back(connect("/hub?a=" + news + "&b=own"));
    begin_move();
    for (int step = 0; step < 4000 && !moved(); ++step) {
      switch (random() % 8) {
        case 0: publish(room); break;
        case 1: publish(news); break;
        case 2: case 3: source_->turn(); break;
        case 4: destination_->turn(); break;
        case 5: destination_->bus.step(destination_->hub); break;
        case 6: source_->bus.step(source_->hub), source_->bus.arrive(); break;
        case 7: clients[random() % clients.size()].read(1 + random() % 100); break;
      }
    }
    if (!moved()) finish_move();
    publish(room);
    publish(news);
    const std::string where = "seed " + std::to_string(seed);
    EXPECT_TRUE(source_->reports.back().ok) << where;
    expect_everything(clients[0], {room, news}, where);
    expect_everything(clients[1], {room}, where);
    expect_everything(clients[2], {news}, where);
    if (HasFatalFailure()) return;
    clients.clear();
    for (int i = 0; i < 4; ++i) turn_both();
    EXPECT_TRUE(destination_->bus.interests.empty()) << where;
    source_->reports.clear();
  }
}

TEST_F(MovePubSubTest, ADestinationThatLagsDeliversNothingTwice) {
  Client elsewhere = connect("/hub?a=room&b=room");
  move_all();
  Client client = connect("/hub?a=room&b=room");
  source_->reports.clear();
  for (int i = 0; i < 5; ++i) publish("room");
  begin_move();
  for (int i = 0; i < 50 && !moved(); ++i) {  // The destination hears nothing meanwhile.
    source_->hear();
    source_->turn();
    destination_->turn();
  }
  ASSERT_TRUE(moved());
  publish("room");
  expect_everything(client, {"room"});
  expect_everything(elsewhere, {"room"});
}

TEST_F(MovePubSubTest, ASourceThatLagsIsWaitedFor) {
  Client client = connect("/hub?a=room&b=room");
  for (int i = 0; i < 5; ++i) publish("room");
  begin_move();
  for (int i = 0; i < 20; ++i) {
    destination_->hear();
    destination_->turn();
    source_->turn();
  }
  EXPECT_FALSE(moved()) << "it has not heard what its client would then never get";
  finish_move();
  expect_everything(client, {"room"});
}

TEST_F(MovePubSubTest, ASourceStaysUntilTheMasterHasItsMembers) {
  Client client = connect("/hub?a=room&b=room");
  record::Record& record = *source_->connections.find_uid(client.uid);
  ASSERT_TRUE(source_->hub.join(record, "members", {.member = true, .user = "ann"}).ok());
  source_->hear();
  begin_move();
  for (int i = 0; i < 50; ++i) {  // The master hears nothing of the destination's once that knows its channels.
    source_->hear();
    source_->turn();
    while (destination_->bus.step(destination_->hub)) {}
    if (destination_->connections.find_uid(client.uid) == nullptr) destination_->bus.arrive();
    destination_->turn();
  }
  ASSERT_NE(destination_->connections.find_uid(client.uid), nullptr);
  EXPECT_FALSE(moved()) << "its end, seen first, would be a leave of everybody";
  finish_move();
  EXPECT_TRUE(source_->reports.back().ok);
}

TEST_F(MovePubSubTest, ThePublisherHearsItselfOnce) {
  Client client = connect("/hub?a=room&b=room");
  begin_move();
  std::string expected;
  for (int i = 0; i < 60 && !moved(); ++i) {
    const std::string text = std::to_string(i);
    client.send(client_frame(kText, text));
    expected += "text " + text + "\n";
    turn_both();
  }
  ASSERT_TRUE(moved());
  EXPECT_EQ(said(client), expected);
}

TEST_F(MovePubSubTest, WhatOneHasPublishedHereComesBeforeWhatItPublishesThere) {
  Client client = connect("/hub?a=room&b=room");
  client.send(client_frame(kText, "first"));
  source_->turn();
  begin_move();
  client.send(client_frame(kText, "second"));
  for (int i = 0; i < 20; ++i) {  // The master is slow to read what the source has sent.
    while (source_->bus.step(source_->hub)) {}
    source_->turn();
    destination_->hear();
    destination_->turn();
  }
  EXPECT_FALSE(moved());
  finish_move();
  EXPECT_EQ(said(client), "text first\ntext second\n");
}

TEST_F(MovePubSubTest, ABatchThatComesBackHasMissedNothing) {
  Client client = connect("/hub?a=room&b=room");
  begin_move();
  for (int i = 0; i < 10 && !source_->connections.leaving(at(*source_, client)); ++i) {
    source_->hear();
    source_->turn();
    if (source_->connections.leaving(at(*source_, client))) break;
    destination_->hear();
    destination_->turn();
  }
  ASSERT_TRUE(source_->connections.leaving(at(*source_, client)));
  publish("room");
  source_->hear();
  destination_->moves.stop();
  publish("room");
  finish_move();
  EXPECT_FALSE(source_->reports.back().ok);
  publish("room");
  expect_everything(client, {"room"});
}

}  // namespace
}  // namespace beamgate::move
