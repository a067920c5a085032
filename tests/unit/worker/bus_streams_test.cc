// The worker's ends of the bus's two streams, over the death of the worker: nothing is lost, nothing comes twice.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/ipc/channel.h"
#include "worker/bus_inbox.h"
#include "worker/bus_outbox.h"

namespace beamgate {
namespace {

record::Arena make_arena() { return std::move(record::Arena::map(UniqueFd(), 4)).value(); }

ipc::Publish publish(const std::string& payload) { return {.channel = "room", .payload = payload}; }

class BusStreamsTest : public testing::Test {
 protected:
  BusStreamsTest() {
    auto ends = std::move(ipc::Channel::make_pair()).value();
    worker_ = std::move(ends.first);
    master_ = std::make_unique<ipc::Channel>(std::move(ends.second));
    ipc::grow_send_buffer(worker_.get());
  }

  // What the master has received since the last time.
  std::vector<std::string> received() {
    std::vector<std::string> out;
    for (bool more = true; more;) {
      const auto got = master_->receive([&](const ipc::Frame& frame) {
        ipc::Publish message;
        EXPECT_TRUE(ipc::decode(frame.body, message));
        out.emplace_back(message.payload);
        return true;
      });
      EXPECT_TRUE(got.ok());
      more = got.ok() && got.value() == ipc::Channel::Progress::More;
    }
    return out;
  }

  UniqueFd worker_;
  std::unique_ptr<ipc::Channel> master_;
  ipc::Life::Now now_;
};

using Payloads = std::vector<std::string>;

TEST_F(BusStreamsTest, WhatASuccessorSendsAgainIsDropped) {
  record::Arena dead = make_arena();
  BusOutbox outbox(dead);
  ASSERT_TRUE(outbox.append(publish("one")));
  ASSERT_TRUE(outbox.append(publish("two")));
  record::Arena alive = make_arena();
  BusOutbox successor(alive);
  ASSERT_TRUE(successor.copy_from(dead));  // The dead one had sent it, and not known it.
  ASSERT_TRUE(outbox.flush(worker_.get()).ok());
  EXPECT_EQ(received(), (Payloads{"one", "two"}));
  ASSERT_TRUE(successor.append(publish("three")));
  ASSERT_TRUE(successor.flush(worker_.get()).value());
  EXPECT_EQ(received(), Payloads{"three"});
  EXPECT_TRUE(successor.empty());
}

TEST_F(BusStreamsTest, AFrameThatTookManyPacketsIsSentAgainFromItsBeginning) {
  const std::string large(500'000, 'x');
  record::Arena dead = make_arena();
  BusOutbox outbox(dead);
  ASSERT_TRUE(outbox.append(publish("small")));
  ASSERT_TRUE(outbox.append(publish(large)));
  ASSERT_TRUE(outbox.append(publish("last")));
  EXPECT_GT(outbox.bytes(), large.size());
  record::Arena alive = make_arena();
  BusOutbox successor(alive);
  ASSERT_TRUE(successor.copy_from(dead));
  static_cast<void>(outbox.flush(worker_.get()));  // As much as the socket takes.
  Payloads all = received();
  for (int i = 0; i < 100 && !successor.empty(); ++i) {
    ASSERT_TRUE(successor.flush(worker_.get()).ok());
    for (std::string& payload : received()) all.push_back(std::move(payload));
  }
  EXPECT_EQ(all, (Payloads{"small", large, "last"}));
  EXPECT_TRUE(successor.empty());
}

TEST_F(BusStreamsTest, AFrameIsHandledOnceWhoeverReadsIt) {
  for (const char* payload : {"one", "two", "three"}) ASSERT_TRUE(master_->send(publish(payload)));
  ASSERT_TRUE(master_->flush().ok());
  Payloads handled;
  const auto note = [&](const ipc::Frame& frame) {
    ipc::Publish message;
    EXPECT_TRUE(ipc::decode(frame.body, message));
    handled.emplace_back(message.payload);
    return true;
  };
  UniqueFd file(memfd_create("arena", MFD_CLOEXEC));
  record::Arena dead = std::move(record::Arena::map(UniqueFd(dup(file.get())), 4)).value();
  BusInbox inbox(dead, now_);
  // It dies of the second frame: the packet stays where it is, and the step of that frame is open.
  const auto died = inbox.receive(worker_.get(), [&](const ipc::Frame& frame) {
    if (handled.size() < 1) return note(frame);
    return false;
  });
  EXPECT_FALSE(died.ok());
  record::Arena after = std::move(record::Arena::open(UniqueFd(dup(file.get())))).value();
  std::vector<uint32_t> slots;
  ASSERT_TRUE(after.undo(slots));
  record::Arena alive = make_arena();
  BusOutbox outbox(alive);
  BusInbox successor(alive, now_);
  ASSERT_TRUE(outbox.copy_from(after) && successor.copy_from(after));
  ASSERT_TRUE(successor.receive(worker_.get(), note).ok());
  EXPECT_EQ(handled, (Payloads{"one", "two", "three"}));
  ASSERT_TRUE(successor.receive(worker_.get(), note).ok());
  EXPECT_EQ(handled.size(), 3u) << "the packet is gone";
}

TEST_F(BusStreamsTest, ACutFrameIsJoinedOverADeath) {
  const std::string large(400'000, 'y');
  ASSERT_TRUE(master_->send(publish(large)));
  ASSERT_TRUE(master_->send(publish("behind it")));
  record::Arena dead = make_arena();
  BusInbox inbox(dead, now_);
  Payloads handled;
  const auto note = [&](const ipc::Frame& frame) {
    ipc::Publish message;
    EXPECT_TRUE(ipc::decode(frame.body, message));
    handled.emplace_back(message.payload);
    return true;
  };
  // Packet by packet, each by another worker.
  std::vector<record::Arena> arenas;
  arenas.reserve(20);
  arenas.push_back(std::move(dead));
  for (int i = 0; i < 18 && handled.size() < 2; ++i) {
    static_cast<void>(master_->flush());
    arenas.push_back(make_arena());
    BusOutbox outbox(arenas.back());
    BusInbox successor(arenas.back(), now_);
    ASSERT_TRUE(outbox.copy_from(arenas[arenas.size() - 2]) && successor.copy_from(arenas[arenas.size() - 2]));
    ASSERT_TRUE(successor.receive(worker_.get(), note).ok());
  }
  EXPECT_EQ(handled, (Payloads{large, "behind it"}));
}

TEST_F(BusStreamsTest, AnotherMasterBeginsAnew) {
  const std::string large(ipc::kPacketBytesMax * 3, 'x');
  record::Arena arena = make_arena();
  BusInbox inbox(arena, now_);
  Payloads handled;
  const auto note = [&](const ipc::Frame& frame) {
    ipc::Publish message;
    EXPECT_TRUE(ipc::decode(frame.body, message));
    handled.emplace_back(message.payload.substr(0, 9));
    return true;
  };
  ASSERT_TRUE(master_->send(publish("first")));
  ASSERT_TRUE(master_->send(publish(large)));
  // The first master dies before the large one is out: its end never comes.
  const auto flushed = master_->flush();
  ASSERT_TRUE(flushed.ok());
  char packet[ipc::kPacketBytesMax];
  std::vector<std::string> packets;
  for (ssize_t got; (got = recv(worker_.get(), packet, sizeof packet, MSG_DONTWAIT)) > 0;) packets.emplace_back(packet, got);
  ASSERT_GE(packets.size(), 2u);
  for (size_t i = 0; i < 2; ++i) ASSERT_GT(send(master_->descriptor(), packets[i].data(), packets[i].size(), 0), 0);
  ASSERT_TRUE(inbox.receive(worker_.get(), note).ok());
  ipc::Channel second(UniqueFd(dup(master_->descriptor())));
  second.begin_anew(uint64_t{1} << 40);
  ASSERT_TRUE(second.send(publish("second")));
  ASSERT_TRUE(second.flush().ok());
  ASSERT_TRUE(second.send(publish("third")));
  ASSERT_TRUE(second.flush().ok());
  ASSERT_TRUE(inbox.receive(worker_.get(), note).ok());
  EXPECT_EQ(handled, (Payloads{"first", "second", "third"}));
  EXPECT_EQ(arena.vault().partial_whole, 0u);
  // One that begins lower is none that took a place.
  ipc::Channel late(UniqueFd(dup(master_->descriptor())));
  late.begin_anew(0);
  ASSERT_TRUE(late.send(publish("fourth")));
  ASSERT_TRUE(late.flush().ok());
  ASSERT_TRUE(inbox.receive(worker_.get(), note).ok());
  EXPECT_EQ(handled.size(), 3u);
}

TEST_F(BusStreamsTest, WhoDoesNotKnowTheBeginningLosesNoOtherFrame) {
  record::Arena arena = make_arena();
  BusOutbox outbox(arena);
  ASSERT_TRUE(outbox.append(publish(std::string(100'000, 'x'))));
  ASSERT_TRUE(outbox.append(publish("after")));
  ASSERT_TRUE(outbox.flush(worker_.get()).value());
  char packet[ipc::kPacketBytesMax];
  ASSERT_GT(recv(master_->descriptor(), packet, sizeof packet, 0), 0);  // What a dead master has had.
  master_->begin_anew(1);
  EXPECT_EQ(received(), Payloads{"after"});
}

TEST_F(BusStreamsTest, BytesThatAreNoFramesEndIt) {
  record::Arena arena = make_arena();
  BusInbox inbox(arena, now_);
  ASSERT_EQ(::send(master_->descriptor(), "nonsense", 8, 0), 8);
  EXPECT_FALSE(inbox.receive(worker_.get(), [](const ipc::Frame&) { return true; }).ok());
}

TEST_F(BusStreamsTest, TheOtherEndGone) {
  record::Arena arena = make_arena();
  BusInbox inbox(arena, now_);
  master_.reset();
  const auto received = inbox.receive(worker_.get(), [](const ipc::Frame&) { return true; });
  ASSERT_FALSE(received.ok());
  EXPECT_EQ(received.error().code, Code::Closed);
}

}  // namespace
}  // namespace beamgate
