// Connections move at the worst moments: between two bytes of anything, with output half written, while closing,
// with a compression's window, with an application's call under way.  The client must not be able to tell.
#include "common/metrics/metrics.h"
#include "tests/unit/worker/move/two_workers.h"
#include "worker/ws/zlib_streams.h"

namespace beamgate::move {
namespace {

using namespace testing;
using ws::testing::client_frame;
using ws::testing::kClose;
using ws::testing::kContinuation;
using ws::testing::kPing;
using ws::testing::kText;

class MovingTest : public TwoWorkers {};

TEST_F(MovingTest, AnIdleWebSocketKeepsItsNameAndItsCounters) {
  Client client = connect("/echo");
  client.send(client_frame(kText, "one"));
  EXPECT_EQ(said(client), "text one\n");
  const record::Record before = at(*source_, client);
  move_all();
  EXPECT_FALSE(is_at(*source_, client));
  const record::Record& after = at(*destination_, client);
  EXPECT_EQ(after.uid, before.uid);
  EXPECT_EQ(after.accepted_ms, before.accepted_ms);
  EXPECT_EQ(after.messages_received, 1u);
  EXPECT_EQ(after.bytes_sent, before.bytes_sent);
  EXPECT_EQ(after.protocol, record::Protocol::Echo);
  EXPECT_EQ(source_->reports.back().moved, 1u);
  EXPECT_EQ(source_->reports.back().left, 0u);
  client.send(client_frame(kText, "two"));
  EXPECT_EQ(said(client), "text two\n");
  EXPECT_EQ(destination_->page.get(metrics::Metric::WebSocketHandshakes), 0u) << "nothing has begun";
}

TEST_F(MovingTest, AtEveryByteOfAFragmentedMessageWithAPingInside) {
  const std::string stream = client_frame(kText, "fr\xc3", {.fin = false}) + client_frame(kPing, "p") +
                             client_frame(kContinuation, "\xa4g", {.fin = false}) +
                             client_frame(kContinuation, "") + client_frame(kText, std::string(300, 'y'));
  const std::string expected = "pong p\ntext fr\xc3\xa4g\ntext " + std::string(300, 'y') + "\n";
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    Client client = connect("/echo");
    client.send(stream.substr(0, cut));
    source_->turn();
    move_all();
    client.send(stream.substr(cut));
    ASSERT_EQ(said(client), expected) << "moved behind byte " << cut;
    client.socket.reset();
    turn_both();
    turn_both();
  }
}

TEST_F(MovingTest, ThereAndBackAndThereAgain) {
  Client client = connect("/echo");
  client.send(client_frame(kText, "half").substr(0, 7));
  source_->turn();
  for (int i = 0; i < 3; ++i) {
    move_all();
    std::swap(source_, destination_);
  }
  client.send(client_frame(kText, "half").substr(7));
  EXPECT_EQ(said(client), "text half\n");
  std::swap(source_, destination_);
}

TEST_F(MovingTest, WhatThePeerSendsMeanwhileWaits) {
  Client client = connect("/echo");
  begin_move();
  for (int i = 0; i < 100 && !moved(); ++i) {
    client.send(client_frame(kText, std::to_string(i)));
    turn_both();
  }
  ASSERT_TRUE(moved());
  std::string expected;
  const std::string got = said(client);
  for (size_t i = 0; expected.size() < got.size(); ++i) expected += "text " + std::to_string(i) + "\n";
  EXPECT_EQ(got, expected);
  EXPECT_FALSE(got.empty());
}

TEST_F(MovingTest, UnsentOutputTravelsWhereverTheKernelStopped) {
  Client client = connect("/echo");
  std::string expected;
  // The client doesn't read: the echoes fill the kernel's buffer and then the queue.
  for (int i = 0; i < 12; ++i) {
    const std::string text(40'000 + i, static_cast<char>('a' + i));
    expected += "text " + text + "\n";
    client.send(client_frame(kText, text));
    for (int turns = 0; turns < 3; ++turns) source_->turn();
  }
  ASSERT_GT(at(*source_, client).outbound_bytes, 0u);
  ASSERT_GT(at(*source_, client).outbound_offset, 0u) << "the kernel has not stopped within a frame";
  move_all();
  ASSERT_GT(at(*destination_, client).outbound_bytes, 0u);
  EXPECT_EQ(said(client), expected);
}

TEST_F(MovingTest, ABatchThatIsLargeGoesThroughAMemfd) {
  const std::string text(60'000, 'z');
  const std::string frame = client_frame(kText, text);
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(connect("/echo"));
    clients.back().send(frame.substr(0, 55'000));
    for (int turns = 0; turns < 4; ++turns) source_->turn();
  }
  static_assert(3 * 55'000 > Source::kInlineBytesMax);
  move_all();
  for (Client& client : clients) {
    client.send(frame.substr(55'000));
    EXPECT_EQ(said(client), "text " + text + "\n");
  }
}

TEST_F(MovingTest, AClosingHandshakeGoesOn) {
  Client client = connect("/echo");
  source_->websockets.close(at(*source_, client), metrics::Metric::ClosesApplication, 4001, "bye");
  EXPECT_EQ(said(client), "close 4001\n");
  const int64_t deadline = source_->connections.deadline_ms(at(*source_, client));
  move_all();
  EXPECT_NEAR(static_cast<double>(destination_->connections.deadline_ms(at(*destination_, client))),
              static_cast<double>(deadline), 100) << "the time it has runs on";
  client.send(client_frame(kText, "too late"));
  EXPECT_EQ(said(client), "");
  client.send(client_frame(kClose, "\x0f\xa1"));
  for (int i = 0; i < 4; ++i) turn_both();
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(destination_->page.get(metrics::Metric::WebSocketsActive), 0u);
}

TEST_F(MovingTest, AFinThatCameBeforeOrMeanwhileIsSeen) {
  Client client = connect("/echo");
  client.send(client_frame(kText, "last words"));
  shutdown(client.socket.get(), SHUT_WR);
  begin_move();
  finish_move();
  EXPECT_EQ(said(client), "text last words\n");
  for (int i = 0; i < 4; ++i) turn_both();
  EXPECT_TRUE(client.ended());
}

TEST_F(MovingTest, ACompressionKeepsItsWindows) {
  Client client = connect("/deflate", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
  ws::Compressor compressor;
  ws::Decompressor decompressor;
  ASSERT_TRUE(compressor.start(15, 6) && decompressor.start(15));
  for (int i = 0; i < 12; ++i) {
    const std::string text = "what has been said before costs little " + std::to_string(i % 3);
    ws::Scratch out;
    compressor.run(text, out);
    client.send(client_frame(kText, {out.bytes().data(), out.bytes().size()}, {.rsv = 4}));
    ASSERT_NE(said(client), "");
    if (i > 3) {
      EXPECT_LT(last_payload_.size(), 24u) << "the window is lost";
    }
    ws::Scratch inflated;
    ASSERT_EQ(decompressor.run(last_payload_, 1000, inflated), ws::Decompressor::Outcome::Done);
    EXPECT_EQ(std::string(inflated.bytes().data(), inflated.bytes().size()), text);
    move_all();
    std::swap(source_, destination_);
  }
}

TEST_F(MovingTest, HttpBetweenRequestsAndWithinAHead) {
  const std::string request = "GET /text HTTP/1.1\r\nHost: a\r\n\r\n";
  for (size_t cut = 0; cut < request.size(); ++cut) {
    Client client = open();
    client.send(request + request.substr(0, cut));
    source_->turn();
    source_->turn();
    move_all();
    EXPECT_EQ(source_->reports.back().moved, 1u);
    client.send(request.substr(cut));
    for (int i = 0; i < 4; ++i) turn_both();
    while (client.read()) {}
    size_t answers = 0;
    for (size_t found = 0; (found = client.received.find("HTTP/1.1 200", found)) != std::string::npos; ++found) ++answers;
    ASSERT_EQ(answers, 2u) << "moved behind byte " << cut << "\n" << client.received;
    EXPECT_EQ(at(*destination_, client).keepalive_count, 2u);
    client.socket.reset();
    turn_both();
    turn_both();
  }
}

TEST_F(MovingTest, AHalfWrittenResponseIsFinished) {
  const auto answers = [&](bool moving) {
    Client client = open();
    for (int i = 0; i < 200; ++i) client.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < 8; ++i) source_->turn();
    EXPECT_GT(at(*source_, client).outbound_bytes, 0u);
    if (moving) move_all();
    for (int idle = 0; idle < 4;) {
      turn_both();
      idle = client.read() ? 0 : idle + 1;
    }
    std::string out = client.received;
    for (size_t at; (at = out.find("Date: ")) != out.npos;) out.erase(at, out.find("\r\n", at) + 2 - at);
    for (size_t at; (at = out.find("date: ")) != out.npos;) out.erase(at, out.find("\r\n", at) + 2 - at);
    return out;
  };
  const std::string expected = answers(false);
  EXPECT_GT(expected.size(), 800'000u);
  EXPECT_EQ(answers(true), expected);
}

TEST_F(MovingTest, ACallUnderWayIsWaitedForSoThatTheApplicationHearsOfAMessageOnce) {
  Client client = connect("/app");
  for (const char* text : {"a", "b", "c"}) client.send(client_frame(kText, text));
  source_->turn();
  ASSERT_EQ(source_->webhooks.calls.size(), 1u);
  const size_t heard = source_->webhooks.log.size();
  begin_move();
  for (int i = 0; i < 10; ++i) turn_both();
  EXPECT_FALSE(moved());
  source_->webhooks.answer("A");
  finish_move();
  EXPECT_EQ(source_->webhooks.log.size(), heard) << "the next message waits for the move";
  for (const char* text : {"B", "C"}) destination_->webhooks.answer(text);
  EXPECT_EQ(said(client), "text A\ntext B\ntext C\n");
  EXPECT_EQ(destination_->webhooks.log.size(), 2u);
  EXPECT_EQ(source_->webhooks.events, std::vector<std::string>{"beamgate.connected"});
  EXPECT_TRUE(destination_->webhooks.events.empty());
}

TEST_F(MovingTest, MessagesThatWaitForTheBusAreStillPublished) {
  Client client = connect("/hub?a=room&b=other");
  source_->bus.full = true;
  client.send(client_frame(kText, "one") + client_frame(kText, "two"));
  source_->turn();
  begin_move();
  for (int i = 0; i < 10; ++i) turn_both();
  EXPECT_FALSE(moved()) << "whoever waits for the bus stays until it has room";
  source_->bus.full = false;
  source_->hub.on_room();
  finish_move();
  EXPECT_EQ(said(client), "text one\ntext two\n");
}

TEST_F(MovingTest, OnlySoManyAsWereAskedFor) {
  std::vector<Client> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(connect("/echo"));
  begin_move(ipc::MoveScope::Some, 70);
  finish_move();
  EXPECT_TRUE(source_->reports.back().ok);
  EXPECT_EQ(source_->reports.back().moved, 70u);
  EXPECT_EQ(source_->reports.back().left, 30u);
  EXPECT_EQ(destination_->connections.active(), 70u);
  for (Client& client : clients) {
    client.send(client_frame(kText, "x"));
    EXPECT_EQ(said(client), "text x\n");
  }
}

TEST_F(MovingTest, SeveralBatchesAndNobodyIsLeft) {
  std::vector<Client> clients;
  for (int i = 0; i < 300; ++i) clients.push_back(connect("/echo"));
  move_all();
  EXPECT_EQ(destination_->connections.active(), 300u);
  for (Client& client : clients) client.send(client_frame(kText, "x"));
  for (Client& client : clients) EXPECT_EQ(said(client), "text x\n");
}

TEST_F(MovingTest, OneThatFindsNoRoomStaysAndOthersGo) {
  std::vector<Client> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(connect("/echo"));
  destination_->connections.set_limits({.per_worker = 7});
  begin_move();
  for (int i = 0; i < 50; ++i) turn_both();
  EXPECT_FALSE(moved());
  EXPECT_EQ(destination_->connections.active(), 7u);
  EXPECT_EQ(source_->connections.active(), 3u);
  for (Client& client : clients) {
    client.send(client_frame(kText, "x"));
    EXPECT_EQ(said(client), "text x\n");
  }
  destination_->connections.set_limits({.per_worker = 100});
  const int64_t until_ms = monotonic_ms() + 20 * Source::kRefusedMs;
  while (!moved() && monotonic_ms() < until_ms) turn_both();
  finish_move();
  EXPECT_EQ(destination_->connections.active(), 10u);
}

TEST_F(MovingTest, TheAddressCountMovesToo) {
  const auto table = std::move(ipc::AddressTable::create(4)).value();
  source_->connections.set_limits({.per_worker = 10, .per_address = 1, .addresses = table.get(), .slot = 1});
  destination_->connections.set_limits({.per_worker = 10, .per_address = 1, .addresses = table.get(), .slot = 2});
  const auto accept = [&](Node& node) {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    Client client;
    client.socket.reset(ends[1]);
    net::Peer peer;
    peer.address.ss_family = AF_INET;
    const record::Record* record =
        node.connections.adopt(UniqueFd(ends[0]), peer, config_->http.servers[0].listens[0].id);
    if (record != nullptr) client.uid = record->uid;
    return client;
  };
  Client client = accept(*source_);
  EXPECT_NE(client.uid, 0u);
  move_all();
  EXPECT_TRUE(is_at(*destination_, client));
  EXPECT_EQ(accept(*source_).uid, 0u) << "it counts at its new place";
  destination_->connections.close_now(at(*destination_, client));
  client = accept(*source_);
  ASSERT_NE(client.uid, 0u) << "and nowhere else";
  source_->connections.close_now(at(*source_, client));  // Before the table goes.
}

TEST_F(MovingTest, WhatItWasAnnouncedAsAndCountsForMovesToo) {
  const auto table = std::move(ipc::AddressTable::create(4)).value();
  source_->connections.set_limits({.per_worker = 10, .keys = table.get(), .slot = 1});
  destination_->connections.set_limits({.per_worker = 10, .keys = table.get(), .slot = 2});
  Client client = open();
  record::Record& before = at(*source_, client);
  EXPECT_TRUE(source_->connections.count_for(before, 42, 1));
  const record::Endpoint told{.family = AF_INET, .port = 99, .address = {1, 2, 3, 4}};
  EXPECT_TRUE(source_->connections.announce(before, {.peer = {.family = AF_UNIX}, .source = told}, told));
  move_all();
  ASSERT_TRUE(is_at(*destination_, client));
  record::Record& after = at(*destination_, client);
  EXPECT_EQ(table->count(42), 1u) << "at its new place, and nowhere else";
  EXPECT_EQ(after.peer_port, 99);
  const record::Extras extras = record::extras_of(destination_->arena, after);
  EXPECT_EQ(extras.announced.present, 1u);
  EXPECT_EQ(extras.announced.source.port, 99);
  EXPECT_EQ(extras.announced.peer.family, AF_UNIX);
  destination_->connections.close_now(after);
  EXPECT_EQ(table->count(42), 0u);
}

}  // namespace
}  // namespace beamgate::move
