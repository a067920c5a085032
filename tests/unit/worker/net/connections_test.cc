// Connections over real socket pairs: bytes arrive whatever way they are cut, writes keep their order through
// every path, back-pressure holds, and closing loses no answer.
#include "worker/net/connections.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>

#include "common/base/clock.h"
#include "worker/record/frame.h"

namespace beamgate::net {
namespace {

using record::ConnId;
using record::Phase;
using record::Record;

// A layer whose behaviour each test fills in.
class Layer : public PhaseHandler {
 public:
  size_t on_bytes(Record& record, std::span<const char> bytes) override {
    return bytes_handler ? bytes_handler(record, bytes) : bytes.size();
  }
  void on_end(Record& record) override {
    ++ends;
    if (connections != nullptr) connections->close_gracefully(record);
  }
  void on_drained(Record&) override { ++drained; }
  void on_deadline(Record&) override { ++deadlines; }
  void on_gone(Record&) override { ++gone; }

  std::function<size_t(Record&, std::span<const char>)> bytes_handler;
  Connections* connections = nullptr;
  int ends = 0;
  int drained = 0;
  int deadlines = 0;
  int gone = 0;
};

class ConnectionsTest : public testing::Test {
 protected:
  ConnectionsTest()
      : arena_(std::move(record::Arena::map(UniqueFd(), 8)).value()),
        poller_(std::move(Poller::create()).value()),
        connections_(std::make_unique<Connections>(arena_, poller_, page_, uint16_t{1})) {
    connections_->set_handler(Phase::Http, http_);
    connections_->set_handler(Phase::WebSocket, websocket_);
    http_.connections = websocket_.connections = connections_.get();
  }
  ~ConnectionsTest() override {
    connections_.reset();
    EXPECT_EQ(arena_.bytes_live(), 0u) << "a connection left something behind";
  }

  Record* open() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    peer_.reset(ends[1]);
    Peer peer;
    peer.address.ss_family = AF_UNIX;
    return connections_->adopt(UniqueFd(ends[0]), peer, 1);
  }
  void turn() {
    poller_.dispatch();
    connections_->end_turn();
  }
  void peer_sends(std::string_view bytes) {
    ASSERT_EQ(::send(peer_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  std::string peer_reads() {
    std::string out(1 << 20, '\0');
    const ssize_t got = ::recv(peer_.get(), out.data(), out.size(), 0);
    out.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return out;
  }
  bool peer_sees_end() {
    char byte = 0;
    return ::recv(peer_.get(), &byte, 1, 0) == 0;
  }

  metrics::Page page_{};
  std::unique_ptr<ipc::AddressTable, ipc::AddressTable::Unmap> addresses_ =
      std::move(ipc::AddressTable::create(4)).value();
  record::Arena arena_;
  Poller poller_;
  Layer http_;
  Layer websocket_;
  std::unique_ptr<Connections> connections_;
  UniqueFd peer_;
};

TEST_F(ConnectionsTest, WhatIsNotConsumedIsOfferedAgainWithMoreBehindIt) {
  std::vector<std::string> seen;
  http_.bytes_handler = [&](Record&, std::span<const char> bytes) {
    seen.emplace_back(bytes.data(), bytes.size());
    return bytes.size() >= 6 ? bytes.size() : 0;
  };
  Record* record = open();
  for (const char* piece : {"ab", "cd", "ef"}) {
    peer_sends(piece);
    turn();
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"ab", "abcd", "abcdef"}));
  EXPECT_EQ(record->carry_bytes, 0u);
}

TEST_F(ConnectionsTest, WritesKeepTheirOrderThroughTurnBufferFramesAndKernel) {
  std::string expected;
  http_.bytes_handler = [&](Record& record, std::span<const char> bytes) {
    EXPECT_TRUE(connections_->send(record, "one ", "two "));
    const record::FrameHolder frame(arena_, record::make_frame(arena_, "three "));
    EXPECT_TRUE(connections_->send_frame(record, frame.get()));
    EXPECT_TRUE(connections_->send(record, "four "));
    return bytes.size();
  };
  Record* record = open();
  peer_sends("go");
  turn();
  EXPECT_TRUE(connections_->send(*record, "five"));
  turn();
  EXPECT_EQ(peer_reads(), "one two three four five");
}

TEST_F(ConnectionsTest, AFullKernelBufferLosesNothing) {
  Record* record = open();
  record->outbound_limit = 8 << 20;
  std::string sent;
  for (int i = 0; i < 2'000; ++i) {
    const std::string piece = "message " + std::to_string(i) + std::string(1'000, 'x');
    if (!connections_->send(*record, piece)) break;
    sent += piece;
  }
  std::string got;
  for (int i = 0; i < 1'000 && got.size() < sent.size(); ++i) {
    turn();
    got += peer_reads();
  }
  EXPECT_EQ(got, sent);
  EXPECT_EQ(connections_->outbound_queued(*record), 0u);
  EXPECT_GT(http_.drained, 0);
}

TEST_F(ConnectionsTest, TheLimitRefusesAndDropOldestMakesRoomBehindABegunFrame) {
  Record* record = open();
  record->outbound_limit = 4 << 20;
  const std::string block(64 << 10, 'a');
  while (connections_->send(*record, block)) {
  }
  connections_->end_turn();  // The kernel takes its share; a frame is begun.
  ASSERT_GT(connections_->outbound_queued(*record), 0u);
  record->outbound_limit = static_cast<uint32_t>(connections_->outbound_queued(*record));
  EXPECT_FALSE(connections_->send(*record, "new"));
  EXPECT_EQ(connections_->drop_oldest(*record, 100 << 10), 2u);
  EXPECT_TRUE(connections_->send(*record, "new"));
  std::string got;
  for (int i = 0; i < 1'000 && !got.ends_with("new"); ++i) {
    got += peer_reads();
    turn();
  }
  EXPECT_EQ((got.size() - 3) % block.size(), 0u) << "a frame was cut";
}

TEST_F(ConnectionsTest, APausedConnectionIsNotReadAndGoesOnWhereItStopped) {
  std::string seen;
  http_.bytes_handler = [&](Record& record, std::span<const char> bytes) -> size_t {
    seen.push_back(bytes[0]);
    connections_->pause(record, record::kPauseWebhook);
    return 1;
  };
  Record* record = open();
  peer_sends("abc");
  turn();
  turn();
  EXPECT_EQ(seen, "a");
  peer_sends("d");
  turn();
  EXPECT_EQ(seen, "a");
  for (int i = 0; i < 3; ++i) {
    connections_->resume(*record, record::kPauseWebhook);
    turn();
  }
  EXPECT_EQ(seen, "abcd");
}

TEST_F(ConnectionsTest, ATurnsShareGoesOnInTheNextTurnWithoutNewInput) {
  std::string seen;
  http_.bytes_handler = [&](Record& record, std::span<const char> bytes) -> size_t {
    seen.push_back(bytes[0]);
    connections_->pause(record, record::kPauseTurn);
    return 1;
  };
  open();
  peer_sends("abc");
  turn();
  EXPECT_TRUE(connections_->has_pending_turn());
  turn();
  turn();
  EXPECT_EQ(seen, "abc");
}

TEST_F(ConnectionsTest, AnotherPhaseGetsTheBytesBehind) {
  std::string seen;
  http_.bytes_handler = [&](Record& record, std::span<const char>) -> size_t {
    connections_->enter_phase(record, Phase::WebSocket);
    return 4;
  };
  websocket_.bytes_handler = [&](Record&, std::span<const char> bytes) {
    seen.assign(bytes.data(), bytes.size());
    return bytes.size();
  };
  open();
  peer_sends("HEADrest");
  turn();
  EXPECT_EQ(seen, "rest");
}

TEST_F(ConnectionsTest, AGracefulCloseSendsEverythingThenFinThenWaitsForThePeer) {
  http_.bytes_handler = [&](Record& record, std::span<const char> bytes) {
    EXPECT_TRUE(connections_->send(record, "answer"));
    connections_->close_gracefully(record);
    return bytes.size();
  };
  Record* record = open();
  const ConnId id = connections_->id_of(*record);
  peer_sends("request");
  turn();
  EXPECT_EQ(http_.gone, 1);
  EXPECT_EQ(peer_reads(), "answer");
  EXPECT_TRUE(peer_sees_end());
  peer_sends("late bytes that nobody wants");
  turn();
  EXPECT_NE(connections_->find(id), nullptr);
  shutdown(peer_.get(), SHUT_WR);
  turn();
  EXPECT_EQ(connections_->find(id), nullptr);
  EXPECT_EQ(http_.gone, 1);
}

TEST_F(ConnectionsTest, NobodyWaitsForAPeerThatHasSaidItsLast) {
  http_.bytes_handler = [&](Record& record, std::span<const char> bytes) {
    EXPECT_TRUE(connections_->send(record, "answer"));
    connections_->close_after_last(record);
    return bytes.size();
  };
  const ConnId id = connections_->id_of(*open());
  peer_sends("request");
  turn();
  EXPECT_EQ(http_.gone, 1);
  EXPECT_EQ(connections_->find(id), nullptr);
  EXPECT_EQ(peer_reads(), "answer");
  EXPECT_TRUE(peer_sees_end());
}

TEST_F(ConnectionsTest, ThePeersEndWaitsForAPause) {
  Record* record = open();
  connections_->pause(*record, record::kPauseExchange);
  shutdown(peer_.get(), SHUT_WR);
  turn();
  EXPECT_EQ(http_.ends, 0);
  connections_->resume(*record, record::kPauseExchange);
  turn();
  turn();
  EXPECT_EQ(http_.ends, 1);
}

TEST_F(ConnectionsTest, SlotsAreReusedUnderAnotherGeneration) {
  Record* record = open();
  const ConnId first = connections_->id_of(*record);
  const uint64_t uid = record->uid;
  EXPECT_EQ(connections_->find_uid(uid), record);
  connections_->close_now(*record);
  EXPECT_EQ(connections_->find(first), nullptr);
  Record* again = open();
  EXPECT_EQ(connections_->id_of(*again).slot, first.slot);
  EXPECT_NE(connections_->id_of(*again), first);
  EXPECT_EQ(connections_->find_uid(uid), nullptr);
  EXPECT_EQ(connections_->active(), 1u);
}

TEST_F(ConnectionsTest, LimitsPerWorkerAndPerAddressRefuse) {
  connections_->set_limits({.per_worker = 3, .per_address = 2, .addresses = addresses_.get(), .slot = 2});
  Peer peer;
  auto& in = reinterpret_cast<sockaddr_in&>(peer.address);
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto connect = [&] {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    close(ends[1]);
    return connections_->adopt(UniqueFd(ends[0]), peer, 1);
  };
  Record* first = connect();
  EXPECT_NE(first, nullptr);
  EXPECT_NE(connect(), nullptr);
  EXPECT_EQ(connect(), nullptr) << "a third of the same address";
  connections_->close_now(*first);
  EXPECT_NE(connect(), nullptr);
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
  EXPECT_NE(connect(), nullptr);
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 2);
  EXPECT_EQ(connect(), nullptr) << "a fourth on this worker";
  EXPECT_EQ(page_.get(metrics::Metric::ConnectionsRefusedAddress), 1u);
  EXPECT_EQ(page_.get(metrics::Metric::ConnectionsRefusedFull), 1u);
}

// As when the kernel has no room for one more watch.
TEST_F(ConnectionsTest, WhatCantBeWatchedIsRefusedAndCounted) {
  EXPECT_EQ(connections_->adopt(UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)), Peer(), 1), nullptr);
  EXPECT_EQ(page_.get(metrics::Metric::ConnectionsRefusedMemory), 1u);
  EXPECT_EQ(page_.get(metrics::Metric::ConnectionsAccepted), 0u);
  EXPECT_EQ(connections_->active(), 0u);
}

TEST_F(ConnectionsTest, AConnectionCountsForItsKeysUntilItGoes) {
  connections_->set_limits({.per_worker = 8, .keys = addresses_.get(), .slot = 2});
  Record& first = *open();
  Record& second = *open();
  EXPECT_TRUE(connections_->count_for(first, 7, 1));
  EXPECT_TRUE(connections_->count_for(first, 8, 2));
  EXPECT_FALSE(connections_->count_for(second, 7, 1)) << "more than one";
  EXPECT_TRUE(connections_->count_for(second, 8, 2));
  connections_->uncount(first);
  EXPECT_EQ(addresses_->count(7), 0u);
  EXPECT_EQ(addresses_->count(8), 1u);
  EXPECT_TRUE(connections_->count_for(second, 7, 1));
  connections_->close_now(second);
  EXPECT_EQ(addresses_->count(7), 0u);
  EXPECT_EQ(addresses_->count(8), 0u);
  for (uint64_t key = 1; key <= record::Extras::kCountsMax; ++key) EXPECT_TRUE(connections_->count_for(first, key, 1));
  EXPECT_FALSE(connections_->count_for(first, 100, 1)) << "one key too many";
  EXPECT_EQ(addresses_->count(100), 0u);
}

TEST_F(ConnectionsTest, AnAnnouncedConnectionIsItsClients) {
  Layer announced;
  connections_->set_handler(Phase::Announced, announced);
  connections_->set_limits({.per_worker = 8, .per_address = 1, .addresses = addresses_.get(), .slot = 2, .announced = {5}});
  const auto connect = [&](uint32_t listen) {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    close(ends[1]);
    Peer peer;
    reinterpret_cast<sockaddr_in&>(peer.address).sin_family = AF_INET;
    return connections_->adopt(UniqueFd(ends[0]), peer, listen);
  };
  Record* first = connect(5);
  Record* second = connect(5);
  ASSERT_NE(second, nullptr) << "the proxy itself is not counted";
  EXPECT_EQ(second->phase, Phase::Announced);
  const record::Endpoint client{.family = AF_INET, .port = 99, .address = {1, 2, 3, 4}};
  EXPECT_TRUE(connections_->announce(*first, {.source = client}, client));
  EXPECT_EQ(first->peer_port, 99);
  EXPECT_EQ(record::extras_of(arena_, *first).announced.source.port, 99);
  EXPECT_FALSE(connections_->announce(*second, {.source = client}, client)) << "its client has one already";
  connections_->close_now(*second);
  connections_->close_now(*first);
  Record* third = connect(5);
  EXPECT_TRUE(connections_->announce(*third, {.source = client}, client));
  EXPECT_NE(connect(6), nullptr);
  EXPECT_EQ(connect(6), nullptr) << "elsewhere the peer is the client";
  connections_->for_each([&](Record& record) { connections_->close_now(record); });
}

// A busy room: the first round leaves at once, what is published during the gap leaves gathered in the next.
class RoundsTest : public testing::Test {
 protected:
  static constexpr int kMembers = 100;

  RoundsTest()
      : arena_(std::move(record::Arena::map(UniqueFd(), kMembers)).value()),
        poller_(std::move(Poller::create()).value()),
        connections_(arena_, poller_, page_, uint16_t{1}) {
    connections_.set_handler(Phase::Http, layer_);
    for (int i = 0; i < kMembers; ++i) {
      int ends[2];
      EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
      Peer peer;
      peer.address.ss_family = AF_UNIX;
      records_.push_back(connections_.adopt(UniqueFd(ends[0]), peer, 1));
      peers_.emplace_back(ends[1]);
    }
  }
  void publish(std::string_view bytes) {
    const record::FrameHolder frame(arena_, record::make_frame(arena_, bytes));
    for (Record* record : records_) EXPECT_TRUE(connections_.send_frame(*record, frame.get()));
  }
  // One packet is one write of the worker.
  std::string packet(int member) {
    char bytes[64];
    const ssize_t got = ::recv(peers_[static_cast<size_t>(member)].get(), bytes, sizeof bytes, 0);
    return got > 0 ? std::string(bytes, static_cast<size_t>(got)) : std::string();
  }

  metrics::Page page_{};
  record::Arena arena_;
  Poller poller_;
  Layer layer_;
  Connections connections_;
  std::vector<Record*> records_;
  std::vector<UniqueFd> peers_;
};

TEST_F(RoundsTest, WhatIsPublishedInTheGapLeavesTogether) {
  publish("1");
  connections_.end_turn();
  EXPECT_EQ(packet(0), "1");
  publish("2");
  connections_.end_turn();
  publish("3");
  EXPECT_TRUE(connections_.send(*records_[7], "direct"));
  connections_.end_turn();
  EXPECT_EQ(packet(7), "1");
  EXPECT_EQ(packet(7), "23direct") << "a direct send takes along what waits, in order";
  while (connections_.has_waiting_round()) connections_.end_turn();
  EXPECT_EQ(packet(99), "1");
  EXPECT_EQ(packet(99), "23");
}

TEST_F(ConnectionsTest, DeadlinesReachTheLayer) {
  Record* record = open();
  const int64_t now = monotonic_ms();
  connections_->set_deadline(*record, now + 100);
  connections_->tick(now + 50);
  EXPECT_EQ(http_.deadlines, 0);
  connections_->tick(now + 300);
  EXPECT_EQ(http_.deadlines, 1);
}

}  // namespace
}  // namespace beamgate::net
