// The relay: order, interest, acknowledgements, calls, the policy for a worker that doesn't read, and that
// nothing a worker sends can hurt anybody but itself.  Workers are channel ends in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <random>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "master/bus/bus.h"
#include "master/worker_state.h"

namespace beamgate::master {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

struct Events : Bus::Observer {
  void on_ready(uint16_t slot, uint32_t) override { ready.push_back(slot); }
  void on_recounted() override {}
  void on_prepared(uint16_t slot, const ipc::Prepared& message) override {
    prepared.emplace_back(slot, std::string(message.reason));
  }
  void on_moved(uint16_t slot, const ipc::Moved& message) override { moved.emplace_back(slot, message.move); }
  void on_bus_closed(uint16_t slot) override { closed.push_back(slot); }
  void on_misbehaved(uint16_t slot, const char*) override { misbehaved.push_back(slot); }

  std::vector<uint16_t> ready, closed, misbehaved;
  std::vector<std::pair<uint16_t, std::string>> prepared;
  std::vector<std::pair<uint16_t, uint32_t>> moved;
};

// A worker's end of the bus; what it receives becomes one text per message.
class FakeWorker {
 public:
  explicit FakeWorker(UniqueFd socket) : channel(std::move(socket)) {}

  void read() {
    const auto received = channel.receive([this](const ipc::Frame& frame) {
      seen.push_back(describe(frame));
      return true;
    });
    gone = !received.ok();
  }

  ipc::Channel channel;
  std::vector<std::string> seen;
  std::vector<uint64_t> requests;  // Numbers of calls to answer.
  std::string epoch;               // Of the last channel that it was confirmed,
  uint64_t presence = 0;           // and how far the changes of its members are.
  uint64_t gap_presence = 0;       // Of the last gap.
  bool gone = false;

 private:
  std::string describe(const ipc::Frame& frame) {
    switch (frame.kind) {
      case ipc::Kind::InterestAck: {
        ipc::InterestAck m;
        EXPECT_TRUE(ipc::decode(frame.body, m));
        epoch = m.epoch;
        presence = m.presence;
        return "interested " + std::string(m.channel) + ' ' + std::to_string(m.offset);
      }
      case ipc::Kind::Deliver: {
        ipc::Deliver m;
        EXPECT_TRUE(ipc::decode(frame.body, m));
        if (m.receipt_call != 0) requests.push_back(m.receipt_call);
        return std::string(m.channel) + ' ' + std::to_string(m.offset) + ' ' + std::string(m.payload.substr(0, 20));
      }
      case ipc::Kind::PublishAck: {
        ipc::PublishAck m;
        EXPECT_TRUE(ipc::decode(frame.body, m));
        EXPECT_EQ(m.epoch.size(), ChannelTable::kEpochBytes);
        return "ack " + std::to_string(m.ticket) + ' ' + std::to_string(m.offset);
      }
      case ipc::Kind::Gap: {
        ipc::Gap m;
        EXPECT_TRUE(ipc::decode(frame.body, m));
        gap_presence = m.presence;
        return "gap " + std::string(m.channel) + ' ' + std::to_string(m.offset);
      }
      case ipc::Kind::Request: {
        ipc::Request m;
        EXPECT_TRUE(ipc::decode(frame.body, m));
        requests.push_back(m.call);
        return "request " + std::to_string(m.method) + ' ' + std::string(m.body);
      }
      case ipc::Kind::CallReply: {
        ipc::CallReply m;
        EXPECT_TRUE(ipc::decode(frame.body, m));
        return "reply " + std::to_string(m.ticket) + " of " + std::to_string(m.worker) + " remaining " +
               std::to_string(m.remaining) + (m.answered ? " yes " : " no ") + std::string(m.body);
      }
      case ipc::Kind::ChannelState: {
        ipc::ChannelState m;
        EXPECT_TRUE(ipc::decode(frame.body, m));
        std::string text = "state " + std::to_string(m.ticket) + ' ' + std::to_string(m.offset);
        if (m.recovered) text += " recovered";
        for (const ipc::Past& past : m.publications) text += ' ' + std::to_string(past.offset) + ':' + std::string(past.payload);
        if (!m.listed) return text;
        std::string members;
        for (const ipc::Member& member : m.members) members += (members.empty() ? "" : " ") + std::string(member.user);
        return text + " [" + members + ']';
      }
      case ipc::Kind::PresenceChange: {
        ipc::PresenceChange m;
        EXPECT_TRUE(ipc::decode(frame.body, m));
        std::string text = "presence " + std::to_string(m.number);
        if (m.whole) text += " list";
        if (!m.listed) text += " #" + std::to_string(m.users);
        for (const ipc::MemberChange& change : m.changes) {
          text += std::string(" ") + "+-="[static_cast<int>(change.event)] + std::string(change.member.user);
        }
        return text;
      }
      default:
        return "kind " + std::to_string(static_cast<int>(frame.kind));
    }
  }
};

class BusTest : public testing::Test {
 protected:
  BusTest() { loop_.set_turn_end([this] { bus_.flush(); }); }

  void set_queue_bytes(size_t bytes) {
    auto config = std::make_shared<config::Config>();
    config->bus_queue_bytes = bytes;
    bus_.follow(config);
  }

  // Worker numbers are 100 + slot.
  FakeWorker& add_worker(uint16_t slot, bool serving = true) {
    auto ends = ipc::Channel::make_pair();
    EXPECT_TRUE(bus_.attach(slot, static_cast<uint16_t>(100 + slot), std::move(ends.value().first)).ok());
    FakeWorker& worker = *(workers_[slot] = std::make_unique<FakeWorker>(std::move(ends.value().second)));
    worker.channel.send(ipc::Hello{.worker = static_cast<uint16_t>(100 + slot)});
    if (serving) worker.channel.send(ipc::Ready{1});
    settle();
    return worker;
  }

  // Moves messages until nothing moves any more; a worker that is asleep does not read.
  void settle() {
    for (int quiet = 0; quiet < 3; ++quiet) {
      const uint64_t before = moved();
      for (auto& [slot, worker] : workers_) static_cast<void>(worker->channel.flush().ok());
      loop_.run_turn(0);
      for (auto& [slot, worker] : workers_) {
        if (!worker->gone && slot != asleep_) worker->read();
      }
      if (moved() != before) quiet = 0;
    }
  }

  uint64_t moved() const {
    uint64_t bytes = 0;
    for (const auto& [slot, worker] : workers_) {
      bytes += worker->channel.bytes_sent() + worker->channel.bytes_received();
    }
    return bytes;
  }

  void publish(FakeWorker& worker, const std::string& channel, const std::string& payload, uint64_t ticket = 0,
               const std::string& key = {}) {
    ASSERT_TRUE(worker.channel.send(
        ipc::Publish{.ticket = ticket, .channel = channel, .payload = payload, .idempotency_key = key}));
  }

  // When each frame was written, by the kernel's clock; instead of reading them.
  static void stamp_packets(FakeWorker& worker) {
    const int on = 1;
    ASSERT_EQ(setsockopt(worker.channel.descriptor(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on), 0);
  }
  static std::vector<std::pair<ipc::Kind, int64_t>> take_stamped(FakeWorker& worker) {
    std::vector<std::pair<ipc::Kind, int64_t>> out;
    for (;;) {
      char packet[4096], control[128];
      iovec part{packet, sizeof packet};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      const ssize_t bytes = recvmsg(worker.channel.descriptor(), &message, MSG_DONTWAIT);
      if (bytes <= 0) return out;
      const cmsghdr* found = CMSG_FIRSTHDR(&message);
      if (found == nullptr || found->cmsg_type != SCM_TIMESTAMPNS) {
        ADD_FAILURE() << "a packet has no time";
        return out;
      }
      timespec time;
      memcpy(&time, CMSG_DATA(found), sizeof time);
      size_t at = sizeof(ipc::PacketHeader);
      while (at < static_cast<size_t>(bytes)) {
        out.emplace_back(static_cast<ipc::Kind>(load_le<uint16_t>(packet + at + 4)),
                         time.tv_sec * 1'000'000'000 + time.tv_nsec);
        at += ipc::kFrameHeaderBytes + load_le<uint32_t>(packet + at);
      }
    }
  }

  EventLoop loop_;
  log::Log log_{"test"};
  Events events_;
  Bus bus_{loop_, log_, events_};
  std::map<uint16_t, std::unique_ptr<FakeWorker>> workers_;
  int asleep_ = -1;
};

TEST_F(BusTest, DeliversToInterestedWorkersInOneOrder) {
  FakeWorker &a = add_worker(0), &b = add_worker(1), &c = add_worker(2);
  a.channel.send(ipc::Interest{"room"});
  b.channel.send(ipc::Interest{"room"});
  settle();
  publish(c, "room", "one", 5);
  publish(c, "room", "two");
  publish(c, "other", "nobody", 6);
  settle();
  EXPECT_THAT(a.seen, ElementsAre("interested room 0", "room 1 one", "room 2 two"));
  EXPECT_EQ(b.seen, a.seen);
  EXPECT_THAT(c.seen, ElementsAre("ack 5 1", "ack 6 1"));
  EXPECT_THAT(events_.ready, ElementsAre(0, 1, 2));
}

TEST_F(BusTest, ConcurrentPublishersMakeOneOrderForAll) {
  FakeWorker &a = add_worker(0), &b = add_worker(1);
  a.channel.send(ipc::Interest{"room"});
  b.channel.send(ipc::Interest{"room"});
  settle();
  for (int i = 0; i < 500; ++i) {
    publish(a, "room", "a" + std::to_string(i));
    publish(b, "room", "b" + std::to_string(i));
    if (i % 7 == 0) settle();
  }
  settle();
  EXPECT_EQ(a.seen.size(), 1'001u);
  EXPECT_EQ(a.seen, b.seen);
}

TEST_F(BusTest, WithdrawnAndDeadWorkersGetNothing) {
  FakeWorker &a = add_worker(0), &b = add_worker(1);
  a.channel.send(ipc::Interest{"room"});
  a.channel.send(ipc::Withdraw{"room"});
  a.channel.send(ipc::Withdraw{"never"});
  settle();
  publish(b, "room", "x", 1);
  settle();
  EXPECT_THAT(a.seen, ElementsAre("interested room 0"));
  a.channel.send(ipc::Interest{"room"});
  settle();
  EXPECT_EQ(a.seen.back(), "interested room 1");
  workers_.erase(0);
  settle();
  EXPECT_THAT(events_.closed, ElementsAre(0));
  bus_.detach(0);
  EXPECT_TRUE(bus_.channels().find("room")->interested.empty());
  publish(b, "room", "y", 2);
  settle();
  EXPECT_EQ(b.seen.back(), "ack 2 2");
}

TEST_F(BusTest, AnIdempotencyKeyIsAcceptedOnce) {
  FakeWorker& a = add_worker(0);
  a.channel.send(ipc::Interest{"room"});
  publish(a, "room", "x", 1, "key");
  publish(a, "room", "x", 2, "key");
  publish(a, "room", "y", 3, "other");
  settle();
  EXPECT_THAT(a.seen, ElementsAre("interested room 0", "room 1 x", "room 2 y", "ack 1 1", "ack 2 1", "ack 3 2"));
}

// The master may be killed between any two packets.
TEST_F(BusTest, WhatIsAcknowledgedWasWrittenToEveryWorkerBefore) {
  FakeWorker &a = add_worker(0), &b = add_worker(1), &c = add_worker(2);
  for (FakeWorker* worker : {&a, &b, &c}) {
    worker->channel.send(ipc::Interest{"room"});
    stamp_packets(*worker);
  }
  settle();
  for (const auto& publishers : {std::vector{&a}, {&c}, {&a, &b}, {&c, &b, &a}}) {
    for (FakeWorker* worker : publishers) {
      publish(*worker, "room", "x", 1);
      ASSERT_TRUE(worker->channel.flush().ok());
    }
    loop_.run_turn(0);
    int64_t delivered_ns = 0, acknowledged_ns = INT64_MAX;
    size_t deliveries = 0, acknowledgements = 0;
    for (FakeWorker* worker : {&a, &b, &c}) {
      for (const auto& [kind, ns] : take_stamped(*worker)) {
        if (kind == ipc::Kind::Deliver) delivered_ns = std::max(delivered_ns, ns), ++deliveries;
        if (kind == ipc::Kind::PublishAck) acknowledged_ns = std::min(acknowledged_ns, ns), ++acknowledgements;
      }
    }
    EXPECT_EQ(deliveries, 3 * publishers.size());
    EXPECT_EQ(acknowledgements, publishers.size());
    EXPECT_LE(delivered_ns, acknowledged_ns) << publishers.size() << " publishers";
  }
}

TEST_F(BusTest, AWorkerThatDoesNotReadMissesPublicationsAndLearnsWhich) {
  set_queue_bytes(1 << 20);
  FakeWorker &slow = add_worker(0), &fast = add_worker(1);
  for (FakeWorker* worker : {&slow, &fast}) {
    worker->channel.send(ipc::Interest{"room"});
    worker->channel.send(ipc::Interest{"quiet"});
  }
  settle();
  asleep_ = 0;
  const std::string payload(64 << 10, 'x');
  publish(fast, "quiet", "before");
  for (int i = 0; i < 200; ++i) {
    publish(fast, "room", payload);
    settle();
  }
  publish(fast, "quiet", payload);
  settle();
  EXPECT_GT(bus_.dropped(0), 50u);
  EXPECT_EQ(fast.seen.size(), 204u) << "the others miss nothing";
  asleep_ = -1;
  settle();
  publish(fast, "room", "after");
  settle();

  uint64_t room = 0;
  size_t gaps = 0;
  for (const std::string& text : slow.seen) {
    if (text.starts_with("gap room ")) {
      ++gaps;
      EXPECT_EQ(text, "gap room 200");
      room = 200;
    } else if (text.starts_with("room ")) {
      EXPECT_EQ(std::stoull(text.substr(5)), ++room) << text;
    }
  }
  EXPECT_EQ(room, 201u);
  EXPECT_EQ(gaps, 1u);
  EXPECT_EQ(std::count(slow.seen.begin(), slow.seen.end(), "gap quiet 2"), 1);
  EXPECT_TRUE(events_.misbehaved.empty());
}

TEST_F(BusTest, AWorkerThatFloodsAndNeverReadsIsEnded) {
  set_queue_bytes(64 << 10);
  FakeWorker &a = add_worker(0), &b = add_worker(1);
  asleep_ = 0;
  const std::string name(255, 'c');
  while (events_.misbehaved.empty()) {
    for (int i = 0; i < 10'000; ++i) a.channel.send(ipc::Interest{name});
    settle();
  }
  EXPECT_THAT(events_.misbehaved, ElementsAre(0));
  publish(b, "room", "x", 1);
  settle();
  EXPECT_EQ(b.seen.back(), "ack 1 1");
}

TEST_F(BusTest, CallsReachAllServingWorkersAndComeBack) {
  FakeWorker &a = add_worker(0), &b = add_worker(1);
  add_worker(2, false);  // Starting: not asked.
  a.channel.send(ipc::Call{.ticket = 7, .target = ipc::Target::All, .method = 3, .body = "hi"});
  settle();
  EXPECT_THAT(a.seen, ElementsAre("request 3 hi"));
  EXPECT_THAT(b.seen, ElementsAre("request 3 hi"));
  b.channel.send(ipc::Reply{b.requests[0], "from b"});
  b.channel.send(ipc::Reply{b.requests[0], "again"});
  settle();
  a.channel.send(ipc::Reply{a.requests[0], "from a"});
  settle();
  EXPECT_THAT(a.seen, ElementsAre("request 3 hi", "reply 7 of 101 remaining 1 yes from b",
                                  "reply 7 of 100 remaining 0 yes from a"));
}

TEST_F(BusTest, ACallToOneWorker) {
  FakeWorker &a = add_worker(0), &b = add_worker(1);
  a.channel.send(ipc::Call{.ticket = 1, .target = ipc::Target::Worker, .worker = 101, .method = 1, .body = "x"});
  a.channel.send(ipc::Call{.ticket = 2, .target = ipc::Target::Worker, .worker = 999, .method = 1, .body = "x"});
  settle();
  EXPECT_THAT(b.seen, ElementsAre("request 1 x"));
  EXPECT_THAT(a.seen, ElementsAre("reply 2 of 999 remaining 0 no "));
}

TEST_F(BusTest, ADyingWorkerLeavesNoCallOpen) {
  FakeWorker& a = add_worker(0);
  add_worker(1);
  a.channel.send(ipc::Call{.ticket = 7, .target = ipc::Target::Worker, .worker = 101, .method = 3});
  settle();
  workers_.erase(1);
  settle();
  EXPECT_THAT(a.seen, ElementsAre("reply 7 of 101 remaining 0 no "));
}

TEST_F(BusTest, InterestedWorkersTellThePublisherWhatBecameOfIt) {
  FakeWorker &a = add_worker(0), &b = add_worker(1), &c = add_worker(2);
  a.channel.send(ipc::Interest{"room"});
  b.channel.send(ipc::Interest{"room"});
  settle();
  c.channel.send(ipc::Publish{.ticket = 5, .channel = "room", .payload = "x", .receipt_ticket = 9});
  settle();
  ASSERT_EQ(a.requests.size(), 1u);
  a.channel.send(ipc::Reply{a.requests[0], "of a"});
  settle();
  workers_.erase(1);
  settle();
  EXPECT_THAT(c.seen, ElementsAre("ack 5 1", "reply 9 of 100 remaining 1 yes of a", "reply 9 of 101 remaining 0 no "));
}

TEST_F(BusTest, ThatNobodyIsThereIsToldAtOnce) {
  FakeWorker& a = add_worker(0);
  const ipc::Publish publication{.channel = "room", .payload = "x", .idempotency_key = "once", .receipt_ticket = 9};
  a.channel.send(publication);
  settle();
  EXPECT_THAT(a.seen, ElementsAre("reply 9 of 0 remaining 0 yes " + ipc::encode(ipc::Receipt{}))) << "no subscriber";
  a.seen.clear();
  a.channel.send(ipc::Interest{"room"});
  a.channel.send(publication);
  settle();
  EXPECT_THAT(a.seen, ElementsAre("interested room 1", "reply 9 of 0 remaining 0 no ")) << "a repetition";
  EXPECT_THAT(a.requests, IsEmpty());
}

TEST_F(BusTest, AWorkerThatMissesAPublicationHasNoReceiptOfIt) {
  set_queue_bytes(64 << 10);
  FakeWorker &slow = add_worker(0), &fast = add_worker(1);
  slow.channel.send(ipc::Interest{"room"});
  settle();
  asleep_ = 0;
  for (int i = 0; i < 100; ++i) {
    fast.channel.send(ipc::Publish{.channel = "room", .payload = std::string(32 << 10, 'x'), .receipt_ticket = 9});
    settle();
  }
  EXPECT_THAT(fast.seen, testing::Contains("reply 9 of 100 remaining 0 no "));
}

TEST_F(BusTest, LargestCallBodiesPassAndLargerOnesEndTheirSender) {
  FakeWorker &a = add_worker(0), &b = add_worker(1);
  const std::string body(ipc::kCallBodyBytesMax, 'x');
  a.channel.send(ipc::Call{.ticket = 7, .target = ipc::Target::Worker, .worker = 101, .body = body});
  settle();
  ASSERT_EQ(b.requests.size(), 1u);
  b.channel.send(ipc::Reply{b.requests[0], body});
  settle();
  EXPECT_EQ(a.seen.back().size(), std::string("reply 7 of 101 remaining 0 yes ").size() + body.size());
  b.channel.send(ipc::Reply{1, body + "y"});
  settle();
  EXPECT_THAT(events_.misbehaved, ElementsAre(1));
}

// Each is one wrong message from a worker that has said Hello.
TEST_F(BusTest, AWrongMessageEndsItsSenderOnly) {
  const std::string long_name(ipc::kChannelNameBytesMax + 1, 'c');
  const std::vector<std::function<void(ipc::Channel&)>> wrongs = {
      [](ipc::Channel& c) { c.send(ipc::Hello{.worker = 99}); },
      [](ipc::Channel& c) { c.send(ipc::Interest{""}); },
      [&](ipc::Channel& c) { c.send(ipc::Interest{long_name}); },
      [](ipc::Channel& c) { c.send(ipc::Interest{std::string_view("a\0b", 3)}); },
      [](ipc::Channel& c) { c.send(ipc::Withdraw{""}); },
      [&](ipc::Channel& c) { c.send(ipc::Publish{.channel = long_name}); },
      [](ipc::Channel& c) { c.send(ipc::Publish{.payload_kind = static_cast<ipc::PayloadKind>(3), .channel = "c"}); },
      [&](ipc::Channel& c) { c.send(ipc::Publish{.channel = "c", .idempotency_key = long_name}); },
      [](ipc::Channel& c) { c.send(ipc::Call{.ticket = 1, .target = static_cast<ipc::Target>(3)}); },
      [](ipc::Channel& c) { c.send(ipc::Call{.ticket = 0}); },
      [](ipc::Channel& c) { c.send(ipc::Stop{true}); },
      [](ipc::Channel& c) { c.send_body(static_cast<ipc::Kind>(999), "x"); },
      [](ipc::Channel& c) { c.send_body(ipc::Kind::Publish, "short"); },
  };
  FakeWorker& other = add_worker(1);
  for (const auto& wrong : wrongs) {
    events_.misbehaved.clear();
    FakeWorker& worker = add_worker(0);
    wrong(worker.channel);
    worker.channel.send(ipc::Interest{"never handled"});
    settle();
    EXPECT_THAT(events_.misbehaved, ElementsAre(0)) << &wrong - wrongs.data();
    EXPECT_TRUE(worker.gone);
    EXPECT_EQ(bus_.channels().find("never handled"), nullptr);
  }
  publish(other, "room", "x", 1);
  settle();
  EXPECT_EQ(other.seen.back(), "ack 1 1");
}

TEST_F(BusTest, NothingBeforeAHelloOfTheRightVersionAndWorker) {
  for (const ipc::Hello hello : {ipc::Hello{.version = 99, .worker = 5}, ipc::Hello{.worker = 6}}) {
    auto ends = ipc::Channel::make_pair();
    ASSERT_TRUE(bus_.attach(3, 5, std::move(ends.value().first)).ok());
    ipc::Channel channel(std::move(ends.value().second));
    channel.send(hello);
    ASSERT_TRUE(channel.flush().ok());
    events_.misbehaved.clear();
    loop_.run_turn(0);
    EXPECT_THAT(events_.misbehaved, ElementsAre(3));
  }
  auto ends = ipc::Channel::make_pair();
  ASSERT_TRUE(bus_.attach(3, 5, std::move(ends.value().first)).ok());
  ipc::Channel channel(std::move(ends.value().second));
  channel.send(ipc::Ready{1});
  ASSERT_TRUE(channel.flush().ok());
  events_.misbehaved.clear();
  loop_.run_turn(0);
  EXPECT_THAT(events_.misbehaved, ElementsAre(3));
  EXPECT_TRUE(events_.ready.size() == 0);
}

// Whole frames with damaged bodies, many of which decode: the bus stays consistent and the others are served.
TEST_F(BusTest, SurvivesDamagedMessages) {
  std::mt19937 random(99);
  FakeWorker& other = add_worker(1);
  for (int round = 0; round < 400; ++round) {
    FakeWorker& worker = add_worker(0);
    for (int i = 0; i < 20; ++i) {
      std::string body;
      ipc::Kind kind;
      switch (random() % 4) {
        case 0: kind = ipc::Kind::Publish, body = ipc::encode(ipc::Publish{.ticket = 3, .channel = "r", .payload = "p", .idempotency_key = "k"}); break;
        case 1: kind = ipc::Kind::Interest, body = ipc::encode(ipc::Interest{"r"}); break;
        case 2: kind = ipc::Kind::Call, body = ipc::encode(ipc::Call{.ticket = 1, .body = "b"}); break;
        default: kind = ipc::Kind::Reply, body = ipc::encode(ipc::Reply{random() % 8, "b"}); break;
      }
      if (random() % 2 == 0) body[random() % body.size()] = static_cast<char>(random());
      worker.channel.send_body(kind, body);
    }
    settle();
    bus_.detach(0);
  }
  publish(other, "fine", "x", 77);
  settle();
  EXPECT_EQ(other.seen.back(), "ack 77 1");
}

// Not a measurement, but far below what a relay without a batch could do: the budget is 500,000 a second on
// an idle machine in a release build.
TEST_F(BusTest, RelaysInBatches) {
  FakeWorker &a = add_worker(0), &b = add_worker(1);
  b.channel.send(ipc::Interest{"room"});
  settle();
  constexpr int kCount = 200'000;
  const int64_t start_us = monotonic_us();
  int received = 0;
  for (int sent = 0; received < kCount;) {
    for (; sent < kCount && a.channel.queued_bytes() < (1 << 20); ++sent) {
      a.channel.send(ipc::Publish{.channel = "room", .payload = "sixty-four bytes of payload, more or less, as in a chat room...."});
    }
    ASSERT_TRUE(a.channel.flush().ok());
    loop_.run_turn(0);
    ASSERT_TRUE(b.channel.receive([&](const ipc::Frame& frame) {
      received += frame.kind == ipc::Kind::Deliver ? 1 : 0;
      return true;
    }).ok());
  }
  const double seconds = static_cast<double>(monotonic_us() - start_us) / 1e6;
  RecordProperty("publications_per_second", std::to_string(static_cast<int64_t>(kCount / seconds)));
  EXPECT_EQ(received, kCount);
}

// --- Channels' histories and members.

class BusChannelsTest : public BusTest {
 protected:
  void follow(config::ChannelRules rules) {
    auto config = std::make_shared<config::Config>();
    rules.pattern = "room";
    config->http.channels.push_back(std::make_shared<config::ChannelRules>(rules));
    bus_.follow(config);
  }
  void join(FakeWorker& worker, uint64_t uid, std::string_view user, uint8_t wants = 0, std::string_view epoch = "",
            uint64_t after = 0) {
    worker.channel.send(ipc::Interest{"room"});
    worker.channel.send(ipc::Join{.ticket = uid, .channel = "room", .is_member = !user.empty(),
                                  .member = {.uid = uid, .user = user}, .wants = wants, .epoch = epoch, .after = after,
                                  .publications_max = 10, .members_max = 10});
  }
};

TEST_F(BusChannelsTest, WhoRecoversGetsWhatItHasMissedOrNothing) {
  follow({.history = 3, .history_ttl_ms = 60'000});
  FakeWorker& a = add_worker(0);
  a.channel.send(ipc::Interest{"room"});
  settle();
  const std::string epoch = a.epoch;
  for (const char* text : {"1", "2", "3", "4"}) publish(a, "room", text);
  settle();
  a.seen.clear();
  join(a, 1, "", ipc::kStateRecover, epoch, 2);
  join(a, 2, "", ipc::kStateRecover, epoch, 0);
  join(a, 3, "", ipc::kStateRecover, "another", 2);
  join(a, 4, "", ipc::kStateNewest);
  join(a, 5, "", ipc::kStateRecover, "", 3);  // No epoch is any.
  join(a, 6, "", ipc::kStateRecover, "", 0);
  settle();
  EXPECT_THAT(a.seen, Not(IsEmpty()));
  std::vector<std::string> states;
  std::copy_if(a.seen.begin(), a.seen.end(), std::back_inserter(states), [](auto& text) { return text.starts_with("state"); });
  EXPECT_THAT(states, ElementsAre("state 1 4 recovered 3:3 4:4", "state 2 4", "state 3 4", "state 4 4 2:2 3:3 4:4",
                                  "state 5 4 recovered 4:4", "state 6 4"));
}

TEST_F(BusChannelsTest, MembersAreToldOfEachOtherInOrderWithWhatTheySay) {
  follow({.presence = true});
  FakeWorker &a = add_worker(0), &b = add_worker(1);
  join(a, 1, "ada", ipc::kStateMembers);
  settle();
  join(b, 2, "bob", ipc::kStateMembers);
  publish(b, "room", "hello");
  settle();
  EXPECT_THAT(a.seen, ElementsAre("interested room 0", "state 1 0 [ada]", "presence 1 +ada", "presence 2 +bob", "room 1 hello"));
  EXPECT_THAT(b.seen, ElementsAre("interested room 0", AnyOf("state 2 0 [ada bob]", "state 2 0 [bob ada]"), "presence 2 +bob",
                                  "room 1 hello"));
  bus_.detach(1);
  settle();
  EXPECT_EQ(a.seen.back(), "presence 3 -bob") << "a dead worker's members leave";
}

// Of what workers see: changes to tell an application of (50), and that they may go (53).
std::vector<std::string> told(const FakeWorker& worker) {
  std::vector<std::string> out;
  std::copy_if(worker.seen.begin(), worker.seen.end(), std::back_inserter(out),
               [](const std::string& text) { return text.starts_with("kind"); });
  return out;
}

TEST_F(BusChannelsTest, TheLastWorkerToGoIsToldOfEverybody) {
  follow({.presence = true, .leave_delay_ms = 60'000, .presence_webhook = std::make_shared<config::Webhook>()});
  FakeWorker &a = add_worker(0), &b = add_worker(1);
  join(a, 1, "ada");
  join(b, 2, "bob");
  settle();
  bus_.expect_end();
  bus_.stop(0, true);
  bus_.stop(1, true);
  settle();
  a.seen.clear();
  b.seen.clear();
  a.channel.send(ipc::Leave{1, "room"});
  a.channel.send(ipc::Farewell{});
  settle();
  EXPECT_THAT(told(a), ElementsAre("kind 53")) << "the other one tells";
  EXPECT_THAT(told(b), IsEmpty()) << "ada may be back yet";
  b.channel.send(ipc::Leave{2, "room"});
  b.channel.send(ipc::Farewell{});
  settle();
  EXPECT_THAT(told(a), ElementsAre("kind 53"));
  EXPECT_THAT(told(b), ElementsAre("kind 50", "kind 50", "kind 53"));
  EXPECT_EQ(bus_.untold(), 0u);
}

TEST_F(BusChannelsTest, WhoeverGoesAloneIsToldAndCanGo) {
  follow({.presence = true, .presence_webhook = std::make_shared<config::Webhook>()});
  FakeWorker& a = add_worker(0);
  join(a, 1, "ada");
  settle();
  a.seen.clear();
  a.channel.send(ipc::Leave{1, "room"});
  a.channel.send(ipc::Farewell{});
  settle();
  EXPECT_THAT(told(a), ElementsAre("kind 50", "kind 53"));
}

TEST_F(BusChannelsTest, WhatNobodyCanTellIsCounted) {
  follow({.presence = true, .presence_webhook = std::make_shared<config::Webhook>()});
  FakeWorker& a = add_worker(0);
  join(a, 1, "ada");
  join(a, 2, "bob");
  settle();
  EXPECT_EQ(bus_.untold(), 0u);
  bus_.expect_end();
  bus_.detach(0);
  EXPECT_EQ(bus_.untold(), 2u);
}

TEST_F(BusChannelsTest, WhoBeginsToListenIsToldHowFarTheChangesAre) {
  follow({.presence = true});
  FakeWorker &a = add_worker(0), &b = add_worker(1);
  for (uint64_t uid = 1; uid <= 3; ++uid) {
    join(a, uid, "ada");
    settle();
  }
  b.channel.send(ipc::Interest{"room"});
  settle();
  EXPECT_EQ(b.presence, 3u);
  a.channel.send(ipc::Leave{2, "room"});
  settle();
  EXPECT_EQ(a.seen.back(), "presence 4 -ada");
  EXPECT_EQ(b.seen.back(), a.seen.back());
}

TEST_F(BusChannelsTest, AGapTellsHowFarTheChangesAre) {
  set_queue_bytes(1 << 20);
  FakeWorker &slow = add_worker(0), &fast = add_worker(1);
  for (FakeWorker* worker : {&slow, &fast}) worker->channel.send(ipc::Interest{"room"});
  settle();
  asleep_ = 0;
  const std::string info(ipc::kMemberInfoBytesMax, '1');
  for (uint64_t uid = 1; uid <= 400; ++uid) {
    fast.channel.send(ipc::Join{.channel = "room", .is_member = true, .member = {.uid = uid, .user = "ada", .info = info}});
    settle();
  }
  asleep_ = -1;
  settle();
  EXPECT_EQ(fast.seen.back(), "presence 400 +ada");
  EXPECT_EQ(slow.seen.back(), "gap room 0");
  EXPECT_EQ(slow.gap_presence, 400u);
  fast.channel.send(ipc::Leave{1, "room"});
  settle();
  EXPECT_EQ(slow.seen.back(), "presence 401 -ada");
}

// What another image of the master gets, it goes on from.
TEST_F(BusChannelsTest, NumbersAndCountsGoOverAHandover) {
  follow({.presence = true, .presence_limit = 2});
  FakeWorker& a = add_worker(0);
  for (uint64_t uid = 1; uid <= 3; ++uid) {
    join(a, uid, std::to_string(uid));
    settle();
  }
  EXPECT_EQ(a.seen.back(), "presence 3 #3");
  a.channel.send(ipc::Leave{3, "room"});
  settle();
  EXPECT_EQ(a.seen.back(), "presence 3 #3") << "a second hasn't passed";
  EXPECT_TRUE(bus_.settle(1'000));
  settle();
  EXPECT_EQ(a.seen.back(), "presence 4 #2");

  HandoverState state;
  state.process = {.next_worker = 1, .columns = 1, .pages = 3, .lives = 4};
  state.slots.push_back({.slot = 0, .pid = 1, .state = static_cast<uint8_t>(WorkerState::Ready)});
  bus_.leave(state);
  state.slots[0].bus = dup(state.slots[0].bus);
  const std::string bytes = serialise(state);
  bus_.detach(0);
  const auto left = parse_handover_state(bytes);
  ASSERT_TRUE(left.ok()) << left.error().message();
  Bus next(loop_, log_, events_);
  auto config = std::make_shared<config::Config>();
  config->http.channels.push_back(
      std::make_shared<config::ChannelRules>(config::ChannelRules{.pattern = "room", .presence = true, .presence_limit = 2}));
  next.follow(config);
  ASSERT_TRUE(next.adopt(left.value()).ok());
  loop_.set_turn_end([&next] { next.flush(); });
  a.channel.send(ipc::Leave{2, "room"});
  settle();
  EXPECT_EQ(a.seen.back(), "presence 5 list +1");
  loop_.set_turn_end([this] { bus_.flush(); });
}

TEST_F(BusChannelsTest, AConflatedChannelDeliversTheNewest) {
  follow({.history = 10, .history_ttl_ms = 60'000, .conflate_ms = 50});
  FakeWorker& a = add_worker(0);
  a.channel.send(ipc::Interest{"room"});
  settle();
  for (const char* text : {"1", "2", "3"}) publish(a, "room", text);
  settle();
  EXPECT_THAT(a.seen, ElementsAre("interested room 0", "room 1 1"));
  while (a.seen.size() < 3) {
    loop_.run_turn(100);
    settle();
  }
  EXPECT_THAT(a.seen, ElementsAre("interested room 0", "room 1 1", "room 3 3"));
}

TEST_F(BusChannelsTest, APatternsSubscribersGetWhatFitsIt) {
  config::ChannelRules rules;
  rules.wildcards = true;
  auto config = std::make_shared<config::Config>();
  rules.pattern = "chat:*";
  config->http.channels.push_back(std::make_shared<config::ChannelRules>(rules));
  bus_.follow(config);
  FakeWorker &a = add_worker(0), &b = add_worker(1);
  a.channel.send(ipc::Interest{"chat:*"});
  b.channel.send(ipc::Interest{"chat:1"});
  b.channel.send(ipc::Interest{"plain:*"});
  settle();
  publish(b, "chat:1", "both");
  publish(b, "chat:2", "one");
  publish(b, "chat:2:3", "none");
  publish(b, "plain:1", "none");
  settle();
  EXPECT_THAT(a.seen, ElementsAre("interested chat:* 0", "chat:1 1 both", "chat:2 1 one"));
  EXPECT_THAT(b.seen, ElementsAre("interested chat:1 0", "interested plain:* 0", "chat:1 1 both"));
  a.channel.send(ipc::Withdraw{"chat:*"});
  settle();
  publish(b, "chat:2", "nobody");
  settle();
  EXPECT_EQ(a.seen.size(), 3u);
  // What the rules become holds for who is there.
  rules.pattern = "plain:*";
  config = std::make_shared<config::Config>();
  config->http.channels.push_back(std::make_shared<config::ChannelRules>(rules));
  bus_.follow(config);
  publish(a, "plain:1", "now");
  settle();
  EXPECT_EQ(b.seen.back(), "plain:1 2 now");
}

// As of somebody who reads a channel that is named like one with members.
TEST_F(BusChannelsTest, AListThatBecomesEmptyIsToldWithoutEnd) {
  config::ChannelRules rules;
  rules.pattern = "room";
  rules.presence = true;
  rules.presence_limit = 1;
  auto config = std::make_shared<config::Config>();
  config->http.channels.push_back(std::make_shared<config::ChannelRules>(rules));
  bus_.follow(config);
  FakeWorker& a = add_worker(0);
  a.channel.send(ipc::Interest{"room"});
  for (const uint64_t uid : {1, 2}) {
    const std::string user = std::to_string(uid);
    a.channel.send(ipc::Join{.channel = "room", .is_member = true, .member = {.uid = uid, .user = user}});
  }
  settle();
  EXPECT_THAT(a.seen, ElementsAre("interested room 0", "presence 1 #2"));
  for (const uint64_t uid : {1, 2}) a.channel.send(ipc::Leave{uid, "room"});
  while (a.seen.size() < 3) {  // Once a second, while it is counted.
    loop_.run_turn(100);
    settle();
  }
  EXPECT_EQ(a.seen.back(), "presence 2 list");
}

}  // namespace
}  // namespace beamgate::master
