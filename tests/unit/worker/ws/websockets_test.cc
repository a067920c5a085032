// Sessions end to end over socket pairs: handshake, echo, the closing handshake in all its orders, slow readers,
// pings, idle connections, compression, and what the application is told.  The client is written from the RFC.
#include "worker/ws/websockets.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/uv/loop.h"
#include "tests/unit/worker/http/layer_fixture.h"
#include "tests/unit/worker/ws/client_frames.h"
#include "worker/context.h"
#include "worker/hook/webhooks.h"
#include "worker/hub/hub.h"
#include "worker/hub/remote.h"
#include "worker/proto/echo.h"
#include "worker/record/frame.h"
#include "worker/ws/close_code.h"

namespace beamgate::ws {
namespace {

using namespace testing;
using metrics::Metric;

// What a Context must have and nothing here calls.
class NoBus final : public hub::Bus {
  void send_interest(std::string_view) override {}
  void send_withdraw(std::string_view) override {}
  void send_known(const ipc::Known&) override {}
  void send_join(const ipc::Join&) override {}
  void send_leave(const ipc::Leave&) override {}
  void send_ask(const ipc::Ask&) override {}
  void send_ask_users(const ipc::AskUsers&) override {}
  bool send_publish(const ipc::Publish&) override { return false; }
};
class NoDeliverer final : public hub::Deliverer {
  void deliver(const hub::Publication&, std::span<const uint32_t>) override {}
  void deliver_gap(std::string_view, uint64_t, std::span<const uint32_t>) override {}
  void deliver_presence(const ipc::PresenceChange&, std::span<const uint32_t>) override {}
  void joined(record::Record&, std::string_view, const ipc::ChannelState&) override {}
};
class NoRemote final : public hub::Remote {
  void serve(hub::Method, Handler) override {}
  bool ask_all(hub::Method, std::string_view, OnAnswers) override { return false; }
  bool ask(uint16_t, hub::Method, std::string_view, OnAnswers) override { return false; }
  bool ask_heir(hub::Method, std::string_view, OnAnswers) override { return false; }
  uint64_t expect(int64_t, OnAnswers) override { return 0; }
  void forget(uint64_t) override {}
};
class NoWebhooks final : public hook::Webhooks {
  CallId call(const hook::Call&, OnReply) override { return 0; }
  void cancel(CallId) override {}
  bool post(const hook::Event&) override { return false; }
  void adopt_events(const FindWebhook&) override {}
  std::string leave_events(size_t& count) override { return count = 0, std::string(); }
  void forget_events(size_t) override {}
  bool take_events(std::string_view, const FindWebhook&) override { return false; }
  void drain(int64_t, std::function<void()>) override {}
};

// Echoes, and remembers what it was told.
class Observer final : public Application {
 public:
  Observer(WebSockets& websockets, net::Connections& connections)
      : websockets_(websockets), connections_(connections) {}

  void on_handshake(http::Exchange& exchange) override { websockets_.accept(exchange, extra); }
  void on_open(record::Record& record) override {
    log += "open\n";
    if (!greeting.empty()) websockets_.send(record, Opcode::Text, greeting);
  }
  void on_message(record::Record& record, Opcode opcode, std::span<char> payload) override {
    const std::string_view text(payload.data(), payload.size());
    ++messages;
    if (text == "close me") return websockets_.close(record, Metric::ClosesApplication, 4001, "as you wish");
    if (text == "drop me") return connections_.close_now(record);
    if (text == "pause") return connections_.pause(record, record::kPauseWebhook);
    websockets_.send(record, opcode, text);
  }
  void on_gone(record::Record&, const Ending& ending) override {
    log += "gone " + std::to_string(ending.code) + (ending.by_peer ? " by peer\n" : " by us\n");
  }

  std::string log;
  std::string greeting;
  std::vector<http::ResponseField> extra;
  int messages = 0;

 private:
  WebSockets& websockets_;
  net::Connections& connections_;
};

struct ServerFrame {
  uint8_t first = 0;  // FIN, RSV and opcode.
  std::string payload;
};

class WebSocketsTest : public http::LayerTest {
 protected:
  void TearDown() override {
    http::LayerTest::TearDown();
    EXPECT_EQ(page_.get(Metric::WebSocketsActive), 0u);
  }

  void serve(const std::string& directives = "") {
    start("server { listen 127.0.0.1:0; location / { websocket echo; " + directives + " } }");
    context_ = std::make_unique<Context>(Context{.loop = loop_, .log = log_, .metrics = page_, .settings = *settings_,
                                                 .arena = arena_, .poller = poller_, .connections = *connections_,
                                                 .hub = hub_, .remote = remote_, .webhooks = webhooks_});
    websockets_ = std::make_unique<WebSockets>(*context_);
    observer_ = std::make_unique<Observer>(*websockets_, *connections_);
    websockets_->set_application(config::WebSocketAction::Mode::Echo, *observer_);
    connections_->set_handler(record::Phase::WebSocket, *websockets_);
    dispatcher_->set_handler(config::Action::WebSocket, *websockets_);
  }

  std::string handshake(const std::string& fields = "", const std::string& behind = "") {
    open();
    const std::string answer =
        exchange("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + fields + "\r\n" + behind);
    const size_t end = answer.find("\r\n\r\n");
    received_ = end == answer.npos ? "" : answer.substr(end + 4);
    return answer.substr(0, end);
  }
  void connect(const std::string& directives = "", const std::string& fields = "") {
    serve(directives);
    ASSERT_EQ(http::status_of_response(handshake(fields)), 101);
  }
  record::Record& record() { return *connections_->find(id_); }

  // Everything the server has sent by now, as "opcode payload" lines; hexadecimal first byte where not plain.
  std::string said(std::string_view bytes = {}) {
    if (!bytes.empty()) send(bytes);
    received_ += receive();
    std::string out;
    for (ServerFrame frame; take(frame);) {
      constexpr std::string_view names[] = {"continuation", "text", "binary", "3", "4", "5", "6", "7", "close", "ping", "pong"};
      if ((frame.first & 0xf0) != 0x80) out += "flags " + std::to_string(frame.first >> 4) + " ";
      out += names[frame.first & 0x0f];
      if ((frame.first & 0x0f) == kClose && frame.payload.size() >= 2) {
        out += " " + std::to_string(parse_close(frame.payload).code);
        frame.payload.erase(0, 2);
      }
      out += (frame.payload.empty() ? "" : " ") + frame.payload + "\n";
    }
    return out;
  }
  bool take(ServerFrame& frame) {
    if (received_.size() < 2) return false;
    size_t size = static_cast<uint8_t>(received_[1]), head = 2;
    EXPECT_LT(size, 128u) << "a server must not mask";
    if (size == 126) size = static_cast<size_t>(static_cast<uint8_t>(received_[2]) << 8 | static_cast<uint8_t>(received_[3])), head = 4;
    if (size == 127) size = static_cast<size_t>(load_be<uint64_t>(received_.data() + 2)), head = 10;
    if (received_.size() < head + size) return false;
    frame = {static_cast<uint8_t>(received_[0]), received_.substr(head, size)};
    received_.erase(0, head + size);
    return true;
  }
  static std::string close_frame(uint16_t code, std::string_view reason = {}) {
    const char bytes[] = {static_cast<char>(code >> 8), static_cast<char>(code)};
    return client_frame(kClose, std::string(bytes, 2).append(reason));
  }

  uv::Loop loop_;
  NoBus bus_;
  NoDeliverer deliverer_;
  hub::Hub hub_{arena_, bus_, deliverer_, page_};
  NoRemote remote_;
  NoWebhooks webhooks_;
  std::unique_ptr<Context> context_;
  std::unique_ptr<WebSockets> websockets_;
  std::unique_ptr<Observer> observer_;
  std::string received_;
};

TEST_F(WebSocketsTest, AcceptsAndEchoes) {
  serve("websocket_subprotocols v2 v1;");
  const std::string head = handshake("Sec-WebSocket-Protocol: v1, v2\r\n");
  EXPECT_NE(head.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), head.npos) << head;
  EXPECT_NE(head.find("Sec-WebSocket-Protocol: v2"), head.npos) << head;
  EXPECT_EQ(head.find("Sec-WebSocket-Extensions"), head.npos) << head;
  EXPECT_EQ(said(client_frame(kText, "hello") + client_frame(kBinary, "bytes") + client_frame(kText, "")),
            "text hello\nbinary bytes\ntext\n");
  EXPECT_EQ(observer_->log, "open\n");
  EXPECT_EQ(record().messages_received, 3u);
  EXPECT_EQ(record().messages_sent, 3u);
  EXPECT_EQ(page_.get(Metric::WebSocketsActive), 1u);
}

TEST_F(WebSocketsTest, FramesBehindTheHandshakeAreNotLost) {
  serve();
  observer_->greeting = "welcome";
  handshake("", client_frame(kText, "early"));
  EXPECT_EQ(said(), "text welcome\ntext early\n");
}

TEST_F(WebSocketsTest, AnIdleConnectionHoldsNothing) {
  connect();
  const uint64_t before = arena_.bytes_live();
  said(client_frame(kText, std::string(60000, 'x')));
  said(client_frame(kText, "a", {.fin = false}) + client_frame(kContinuation, "b"));
  EXPECT_EQ(arena_.bytes_live(), before);
}

TEST_F(WebSocketsTest, RefusesWhatIsNoHandshake) {
  serve("websocket_origins https://good.example; websocket_deflate on;");
  EXPECT_EQ(http::status_of_response(handshake("Origin: https://bad.example\r\n")), 403);
  EXPECT_EQ(http::status_of_response(handshake("Sec-WebSocket-Extensions: a b\r\n")), 400);
  open();
  const std::string plain = exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(http::status_of_response(plain), 426);
  EXPECT_NE(plain.find("Sec-WebSocket-Version: 13"), plain.npos);
  EXPECT_EQ(observer_->log, "");
  EXPECT_EQ(page_.get(Metric::WebSocketHandshakesOrigin), 1u);
  EXPECT_EQ(page_.get(Metric::WebSocketHandshakesMalformed), 2u);
  EXPECT_EQ(http::status_of_response(handshake("Origin: https://good.example\r\n")), 101);
}

TEST_F(WebSocketsTest, ThePeerClosesFirst) {
  connect();
  EXPECT_EQ(said(client_frame(kText, "a") + close_frame(4000, "bye") + client_frame(kText, "late")), "text a\nclose 4000\n");
  EXPECT_TRUE(closed());
  EXPECT_EQ(observer_->log, "open\ngone 4000 by peer\n");
}

TEST_F(WebSocketsTest, AnEmptyCloseIsAnsweredEmpty) {
  connect();
  EXPECT_EQ(said(client_frame(kClose, "")), "close\n");
  EXPECT_TRUE(closed());
  EXPECT_EQ(observer_->log, "open\ngone 1005 by peer\n");
}

TEST_F(WebSocketsTest, WeCloseFirst) {
  connect();
  EXPECT_EQ(said(client_frame(kText, "close me") + client_frame(kText, "ignored")), "close 4001 as you wish\n");
  EXPECT_EQ(page_.get(Metric::ClosesApplication), 1u);
  EXPECT_FALSE(websockets_->send(record(), Opcode::Text, "too late"));
  EXPECT_EQ(said(client_frame(kText, "ignored too") + client_frame(kPing, "also")), "");
  EXPECT_EQ(observer_->messages, 1);
  said(close_frame(4001));
  EXPECT_TRUE(closed());
  EXPECT_EQ(observer_->log, "open\ngone 4001 by us\n");
}

TEST_F(WebSocketsTest, APeerThatNeverAnswersOurCloseIsCut) {
  connect("websocket_close_timeout 1s;");
  said(client_frame(kText, "close me"));
  pass(500);
  EXPECT_NE(connections_->find(id_), nullptr);
  pass(700);
  EXPECT_EQ(connections_->find(id_), nullptr);
  EXPECT_EQ(observer_->log, "open\ngone 4001 by us\n");
}

TEST_F(WebSocketsTest, ALostConnectionEndsAbnormally) {
  connect();
  client_.reset();
  turn(2);
  EXPECT_EQ(observer_->log, "open\ngone 1006 by peer\n");
  connect();
  said(client_frame(kText, "drop me"));
  EXPECT_EQ(observer_->log, "open\ngone 1006 by peer\n");
  EXPECT_TRUE(closed());
}

TEST_F(WebSocketsTest, EachFailureHasItsCode) {
  const std::pair<std::string, int> cases[] = {
      {client_frame(kText, "a", {.masked = false}), 1002},
      {client_frame(kText, "\xff"), 1007},
      {client_frame(kText, std::string(1001, 'x')), 1009},
      {client_frame(kBinary, "", {.announced = 1 << 30}), 1009},
      {client_frame(kClose, "\x03"), 1002},
      {close_frame(1005), 1002},
      {close_frame(1006), 1002},
      {close_frame(1000, "\xe2\x82"), 1007},
      {client_frame(kText, "a", {.rsv = 4}), 1002},
  };
  for (const auto& [bytes, code] : cases) {
    connect("websocket_message_max 1000;");
    const std::string answer = said(bytes + client_frame(kText, "what follows is ignored"));
    EXPECT_EQ(answer.substr(0, 10), "close " + std::to_string(code));
    EXPECT_TRUE(closed());
    EXPECT_EQ(observer_->log, "open\ngone " + std::to_string(code) + " by us\n");
    EXPECT_EQ(observer_->messages, 0);
  }
  EXPECT_EQ(page_.get(Metric::ClosesMessageTooBig), 2u);
  EXPECT_EQ(page_.get(Metric::ClosesProtocolError), 7u);
}

TEST_F(WebSocketsTest, PingsAreAnsweredBetweenFragments) {
  connect();
  EXPECT_EQ(said(client_frame(kText, "a", {.fin = false}) + client_frame(kPing, "1") + client_frame(kPing, "")), "pong 1\npong\n");
  EXPECT_EQ(said(client_frame(kPong, "unasked") + client_frame(kContinuation, "b")), "text ab\n");
}

TEST_F(WebSocketsTest, APausedConnectionGetsNoFurtherMessage) {
  connect();
  EXPECT_EQ(said(client_frame(kText, "one") + client_frame(kText, "pause") + client_frame(kText, "two")), "text one\n");
  EXPECT_EQ(said(client_frame(kText, "three")), "");
  connections_->resume(record(), record::kPauseWebhook);
  EXPECT_EQ(said(), "text two\ntext three\n");
}

TEST_F(WebSocketsTest, ManyTinyFramesTakeTurns) {
  connect();
  std::string many;
  for (int i = 0; i < 5000; ++i) many += client_frame(kPong, "");
  send(many);
  poller_.dispatch();
  EXPECT_TRUE(connections_->has_pending_turn());
  while (connections_->has_pending_turn()) turn();
  EXPECT_EQ(said(client_frame(kText, "last")), "text last\n");
}

TEST_F(WebSocketsTest, SilenceIsPingedThenClosed) {
  connect("websocket_ping_interval 1s; websocket_idle_timeout 3s; websocket_close_timeout 1s;");
  pass(900);
  EXPECT_EQ(said(), "");
  pass(200);
  EXPECT_EQ(said(), "ping\n");
}

TEST_F(WebSocketsTest, ASilentPeerIsClosedAsIdle) {
  connect("websocket_ping_interval 0; websocket_idle_timeout 1s;");
  pass(600);
  said(client_frame(kPong, ""));
  pass(600);
  EXPECT_EQ(said(), "");
  pass(600);
  EXPECT_EQ(said(), "close 1001 idle\n");
  EXPECT_EQ(page_.get(Metric::ClosesIdle), 1u);
}

TEST_F(WebSocketsTest, AClientThatDoesNotReadIsNotRead) {
  connect("websocket_send_queue 100k; websocket_message_max 10k;");
  const std::string frame = client_frame(kBinary, std::string(10000, 'x'));
  int sent = 0;
  for (int blocked = 0; blocked < 20;) {
    const ssize_t wrote = ::send(client_.get(), frame.data(), frame.size(), MSG_NOSIGNAL);
    blocked = wrote == static_cast<ssize_t>(frame.size()) ? 0 : blocked + 1;
    if (wrote > 0 && wrote < static_cast<ssize_t>(frame.size())) {
      for (size_t at = static_cast<size_t>(wrote); at < frame.size();) {
        turn();
        const ssize_t more = ::send(client_.get(), frame.data() + at, frame.size() - at, MSG_NOSIGNAL);
        if (more > 0) at += static_cast<size_t>(more);
        if (more <= 0 && (record().pauses & record::kPauseOutbound)) {
          received_ += receive();
        }
      }
    }
    if (wrote > 0) ++sent;
    turn();
    EXPECT_LE(connections_->outbound_queued(record()), 100u << 10);
  }
  EXPECT_TRUE(record().pauses & record::kPauseOutbound);
  // Once it reads, everything comes back, and nothing was lost.
  int answers = 0;
  for (int idle = 0; idle < 3;) {
    const std::string got = receive();
    idle = got.empty() ? idle + 1 : 0;
    received_ += got;
    for (ServerFrame answer; take(answer); ++answers) EXPECT_EQ(answer.payload.size(), 10000u);
  }
  EXPECT_EQ(answers, sent);
}

// Fills the queue of a client that doesn't read, until a message is refused.
int fill(WebSockets& websockets, net::Connections& connections, record::ConnId id, size_t message_bytes, int most) {
  int sent = 0;
  while (sent < most && websockets.send(*connections.find(id), Opcode::Binary, std::string(message_bytes, 'a'))) {
    connections.end_turn();
    ++sent;
  }
  return sent;
}

TEST_F(WebSocketsTest, ASlowReaderIsClosedWith1008) {
  connect("websocket_send_queue 64k;");
  fill(*websockets_, *connections_, id_, 5000, 1000);
  EXPECT_EQ(page_.get(Metric::ClosesSlowReader), 1u);
  EXPECT_EQ(record().ws.close, record::CloseState::SentClose);
  EXPECT_LT(connections_->outbound_queued(record()), 10000u);
  std::string all = said();
  EXPECT_EQ(all.substr(all.size() - 20), "close 1008 too slow\n");
  said(close_frame(1008));
  EXPECT_EQ(observer_->log, "open\ngone 1008 by us\n");
}

// A block that the arena can't have is as good as an arena that is full.
TEST_F(WebSocketsTest, WhatFindsNoMemoryIsNotTheReadersFault) {
  const std::string large(record::Arena::kBlockBytesMax + 1, 'a');
  connect("websocket_send_queue 200m; websocket_slow_reader drop_oldest;");
  EXPECT_FALSE(websockets_->send(record(), Opcode::Binary, large));
  EXPECT_EQ(page_.get(Metric::MessagesDroppedMemory), 1u);
  EXPECT_EQ(said(client_frame(kText, "still")), "text still\n");
  said(close_frame(1000));
  connect("websocket_send_queue 200m;");
  EXPECT_FALSE(websockets_->send(record(), Opcode::Binary, large));
  EXPECT_EQ(page_.get(Metric::ClosesMemory), 1u);
  EXPECT_EQ(page_.get(Metric::ClosesSlowReader) + page_.get(Metric::MessagesDroppedSlowReader), 0u);
  said(close_frame(1008));
}

TEST_F(WebSocketsTest, OrLosesTheOldestMessages) {
  connect("websocket_send_queue 64k; websocket_slow_reader drop_oldest;");
  // Messages carry their number, so that what arrives can be checked to be whole, in order, and the newest.
  int sent = 0;
  for (; sent < 500; ++sent) {
    const std::string number = std::to_string(10000 + sent);
    EXPECT_TRUE(websockets_->send(record(), Opcode::Text, number + std::string(3000, 'b')));
    connections_->end_turn();
  }
  EXPECT_GT(page_.get(Metric::MessagesDroppedSlowReader), 0u);
  received_ += receive();
  int last = 0, count = 0;
  for (ServerFrame frame; take(frame); ++count) {
    ASSERT_EQ(frame.payload.size(), 3005u);
    const int number = std::stoi(frame.payload.substr(0, 5));
    EXPECT_GT(number, last);
    last = number;
  }
  EXPECT_EQ(last, 10000 + sent - 1);
  EXPECT_EQ(static_cast<uint64_t>(sent - count), page_.get(Metric::MessagesDroppedSlowReader));
}

// The rest of a turn that the kernel took in part must not be dropped: the stream would tear.
TEST_F(WebSocketsTest, DroppingNeverTearsAFrame) {
  connect("websocket_send_queue 200k; websocket_slow_reader drop_oldest; websocket_message_max 64k;");
  const int small = 4096;
  setsockopt(record().fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  said(client_frame(kBinary, std::string(30000, 'e')));
  send(client_frame(kBinary, std::string(50000, 'e')));
  turn();
  for (int i = 0; i < 100; ++i) {
    websockets_->send(record(), Opcode::Binary, std::string(9000, 'n'));
    connections_->end_turn();
  }
  EXPECT_GT(page_.get(Metric::MessagesDroppedSlowReader), 0u);
  received_ += receive();
  for (ServerFrame frame; take(frame);) {
    ASSERT_EQ(frame.first, 0x82);
    ASSERT_TRUE(frame.payload.size() == 30000 || frame.payload.size() == 50000 || frame.payload.size() == 9000);
    ASSERT_EQ(frame.payload, std::string(frame.payload.size(), frame.payload.size() == 9000 ? 'n' : 'e'));
  }
  EXPECT_EQ(received_, "");
}

TEST_F(WebSocketsTest, SharedFramesReachEveryKindOfConnection) {
  connect("websocket_deflate on; websocket_deflate_min 10; websocket_deflate_context_takeover off;",
          "Sec-WebSocket-Extensions: permessage-deflate\r\n");
  const std::string text(2000, 's');
  ASSERT_EQ(websockets_->variant_for(record(), text.size()), WebSockets::Variant::Compressed);
  EXPECT_EQ(websockets_->variant_for(record(), 9), WebSockets::Variant::Plain);
  for (const bool compressed : {false, true}) {
    const record::FrameHolder frame(arena_, websockets_->encode_message(Opcode::Text, text, compressed));
    EXPECT_TRUE(websockets_->send_frame(record(), frame.get()));
    received_ += receive();
    ServerFrame got;
    ASSERT_TRUE(take(got));
    EXPECT_EQ(got.first, compressed ? 0xc1 : 0x81);
    EXPECT_EQ(got.payload.size() < 100, compressed);
  }
}

TEST_F(WebSocketsTest, CompressedMessagesComeAndGo) {
  connect("websocket_deflate on;", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
  const std::string hello("\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
  EXPECT_EQ(said(client_frame(kText, hello, {.rsv = 4}) + client_frame(kText, hello.substr(0, 3), {.fin = false, .rsv = 4}) +
                 client_frame(kPing, "p") + client_frame(kContinuation, hello.substr(3))),
            "text Hello\npong p\ntext Hello\n");
  EXPECT_EQ(said(client_frame(kText, "plain")), "text plain\n");
  EXPECT_EQ(said(client_frame(kText, "\xff\xff", {.rsv = 4})).substr(0, 10), "close 1007");
}

TEST_F(WebSocketsTest, CompressedTextIsCheckedToo) {
  connect("websocket_deflate on;", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
  // A stored block with the two bytes ff fe.
  EXPECT_EQ(said(client_frame(kText, std::string("\x00\x02\x00\xfd\xff\xff\xfe\x00", 8), {.rsv = 4})).substr(0, 10), "close 1007");
}

TEST_F(WebSocketsTest, DrainSpreadsTheCloses) {
  serve();
  std::vector<UniqueFd> clients;
  std::vector<record::ConnId> ids;
  for (int i = 0; i < 10; ++i) {
    handshake();
    clients.push_back(std::move(client_));
    ids.push_back(id_);
  }
  websockets_->drain(Cause::Shutdown, 0, 1000);
  const auto closing = [&] {
    int count = 0;
    for (const record::ConnId id : ids) count += connections_->find(id)->ws.close == record::CloseState::SentClose;
    return count;
  };
  EXPECT_EQ(closing(), 0);
  pass(500);
  EXPECT_GE(closing(), 4);
  EXPECT_LE(closing(), 7);
  pass(600);
  EXPECT_EQ(closing(), 10);
  EXPECT_EQ(http::status_of_response(handshake()), 503);
}

}  // namespace
}  // namespace beamgate::ws
