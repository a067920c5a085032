// Connections whose socket is a stream of another one: they are read, written, held back and ended as all the others.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <functional>

#include "worker/net/connections.h"

namespace beamgate::net {
namespace {

using record::ConnId;
using record::Phase;
using record::Record;

// What the other end of a stream sees.
struct Pipe {
  std::string in;    // Still to be read by us.
  std::string out;   // Written by us.
  size_t room = 1 << 20;
  bool in_ended = false;
  bool out_ended = false;
  bool broken = false;
  bool gone = false;  // The link is.
};

class FakeLink final : public StreamLink {
 public:
  explicit FakeLink(Pipe& pipe) : pipe_(pipe) {}
  ~FakeLink() override { pipe_.gone = true; }

  ssize_t receive(char* into, size_t room) override {
    if (pipe_.broken) return errno = ECONNRESET, -1;
    if (pipe_.in.empty() && !pipe_.in_ended) return errno = EAGAIN, -1;
    const size_t bytes = std::min(room, pipe_.in.size());
    memcpy(into, pipe_.in.data(), bytes);
    pipe_.in.erase(0, bytes);
    return static_cast<ssize_t>(bytes);
  }
  ssize_t send(const iovec* vectors, size_t count) override {
    if (pipe_.broken) return errno = EPIPE, -1;
    size_t sent = 0;
    for (size_t i = 0; i < count && pipe_.room > 0; ++i) {
      const size_t part = std::min(pipe_.room, vectors[i].iov_len);
      pipe_.out.append(static_cast<const char*>(vectors[i].iov_base), part);
      pipe_.room -= part;
      sent += part;
    }
    return sent > 0 ? static_cast<ssize_t>(sent) : (errno = EAGAIN, -1);
  }
  void shut_write() override { pipe_.out_ended = true; }
  bool readable() const override { return pipe_.broken || !pipe_.in.empty() || pipe_.in_ended; }
  bool writable() const override { return pipe_.broken || pipe_.room > 0; }
  bool broken() const override { return pipe_.broken; }

 private:
  Pipe& pipe_;
};

class StreamLayer : public PhaseHandler {
 public:
  size_t on_bytes(Record& record, std::span<const char> bytes) override {
    heard.append(bytes.data(), bytes.size());
    if (handler) handler(record);
    return bytes.size();
  }
  void on_end(Record& record) override {
    ++ends;
    connections->close_gracefully(record);
  }
  void on_drained(Record&) override { ++drained; }
  void on_deadline(Record&) override {}
  void on_gone(Record&) override { ++gone; }

  std::function<void(Record&)> handler;
  Connections* connections = nullptr;
  std::string heard;
  int ends = 0;
  int drained = 0;
  int gone = 0;
};

class StreamsTest : public testing::Test {
 protected:
  StreamsTest() {
    connections_->set_handler(Phase::Http, layer_);
    connections_->set_handler(Phase::Http2, layer_);
    connections_->set_handler(Phase::WebSocket, layer_);
    layer_.connections = connections_.get();
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    peer_.reset(ends[1]);
    Peer peer;
    peer.address.ss_family = AF_UNIX;
    Record* carrier = connections_->adopt(UniqueFd(ends[0]), peer, 7);
    connections_->enter_phase(*carrier, Phase::Http2);
    Record* record = connections_->adopt_stream(std::make_unique<FakeLink>(pipe_), *carrier);
    connections_->enter_phase(*record, Phase::WebSocket);
    connections_->begin_stream(*record);
    id_ = connections_->id_of(*record);
  }
  ~StreamsTest() override {
    connections_.reset();
    EXPECT_TRUE(pipe_.gone);
    EXPECT_EQ(arena_.bytes_live(), 0u);
  }

  Record& record() { return *connections_->find(id_); }
  bool alive() { return connections_->find(id_) != nullptr; }
  void comes(std::string_view bytes) {
    pipe_.in += bytes;
    connections_->stream_changed(id_);
    turn();
  }
  void turn(int times = 3) {
    for (; times > 0; --times) connections_->end_turn();
  }

  metrics::Page page_{};
  record::Arena arena_ = std::move(record::Arena::map(UniqueFd(), 8)).value();
  Poller poller_ = std::move(Poller::create()).value();
  StreamLayer layer_;
  Pipe pipe_;
  std::unique_ptr<Connections> connections_ = std::make_unique<Connections>(arena_, poller_, page_, uint16_t{1});
  UniqueFd peer_;
  ConnId id_;
};

TEST_F(StreamsTest, AreReadAndWritten) {
  layer_.handler = [&](Record& record) { EXPECT_TRUE(connections_->send(record, "answer")); };
  comes("hello");
  EXPECT_EQ(layer_.heard, "hello");
  EXPECT_EQ(pipe_.out, "answer");
  EXPECT_EQ(record().listen_id, 7u) << "as its carrier";
  EXPECT_EQ(record().bytes_received, 5u);
  EXPECT_EQ(record().bytes_sent, 6u);
  EXPECT_EQ(connections_->rooted(), 2u);
  EXPECT_FALSE(connections_->movable(record()));
}

TEST_F(StreamsTest, MoreThanOneReadComesInSeveral) {
  comes(std::string(1 << 20, 'x'));
  turn(20);
  EXPECT_EQ(layer_.heard.size(), size_t{1} << 20);
}

TEST_F(StreamsTest, PausedOnesAreNotRead) {
  connections_->pause(record(), record::kPauseWebhook);
  comes("later");
  EXPECT_EQ(layer_.heard, "");
  connections_->resume(record(), record::kPauseWebhook);
  turn();
  EXPECT_EQ(layer_.heard, "later");
}

TEST_F(StreamsTest, WhatFindsNoRoomWaits) {
  pipe_.room = 4;
  ASSERT_TRUE(connections_->send(record(), "12345678"));
  turn();
  EXPECT_EQ(pipe_.out, "1234");
  EXPECT_EQ(layer_.drained, 0);
  pipe_.room = 100;
  connections_->stream_changed(id_);
  turn();
  EXPECT_EQ(pipe_.out, "12345678");
  EXPECT_EQ(layer_.drained, 1);
}

TEST_F(StreamsTest, TheirPeersEnd) {
  pipe_.in_ended = true;
  comes("last");
  EXPECT_EQ(layer_.heard, "last");
  EXPECT_EQ(layer_.ends, 1);
  EXPECT_TRUE(pipe_.out_ended);
  EXPECT_FALSE(alive());
}

TEST_F(StreamsTest, OurEndWaitsForTheirs) {
  pipe_.room = 0;
  ASSERT_TRUE(connections_->send(record(), "goodbye"));
  connections_->close_gracefully(record());
  turn();
  EXPECT_FALSE(pipe_.out_ended);
  pipe_.room = 100;
  connections_->stream_changed(id_);
  turn();
  EXPECT_EQ(pipe_.out, "goodbye");
  EXPECT_TRUE(pipe_.out_ended);
  EXPECT_TRUE(alive());
  pipe_.in_ended = true;
  comes("ignored");
  turn();
  EXPECT_FALSE(alive());
  EXPECT_EQ(layer_.heard, "");
}

TEST_F(StreamsTest, ABrokenOneIsGoneAtOnce) {
  ASSERT_TRUE(connections_->send(record(), "x"));
  pipe_.broken = true;
  comes("");
  EXPECT_FALSE(alive());
  EXPECT_EQ(layer_.gone, 1);
}

TEST_F(StreamsTest, ABrokenOneThatIsClosingToo) {
  connections_->close_gracefully(record());
  pipe_.broken = true;
  comes("");
  EXPECT_FALSE(alive());
}

TEST_F(StreamsTest, ClosedNow) {
  connections_->close_now(record());
  EXPECT_TRUE(pipe_.gone);
  EXPECT_FALSE(pipe_.out_ended);
  EXPECT_EQ(connections_->active(), 1u);
}

}  // namespace
}  // namespace beamgate::net
