// Two workers in one process, all their layers but no master and no libcurl: the test plays the sequencer, turns
// each of them when it wants to, and has clients on socket pairs.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/config/load.h"
#include "common/ipc/channel.h"
#include "common/uv/loop.h"
#include "tests/unit/worker/ws/client_frames.h"
#include "worker/context.h"
#include "worker/hook/webhooks.h"
#include "worker/http/http_layer.h"
#include "worker/http/return_answer.h"
#include "worker/hub/hub.h"
#include "worker/hub/remote.h"
#include "worker/move/moves.h"
#include "worker/net/connections.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/delivery.h"
#include "worker/proto/echo.h"
#include "worker/proto/raw.h"
#include "worker/proto/raw_encoder.h"
#include "worker/settings.h"
#include "worker/ws/websockets.h"

namespace beamgate::move::testing {

inline std::shared_ptr<const config::Config> config_of(const std::string& text) {
  const config::LoadResult loaded = config::load_text(text);
  EXPECT_TRUE(loaded.ok()) << config::report(loaded);
  return loaded.config;
}

// The master's part of PubSub, with a queue to every worker that the test empties.
class Sequencer {
 public:
  class End final : public hub::Bus {
   public:
    explicit End(Sequencer& sequencer) : sequencer_(sequencer) {}
    void send_interest(std::string_view channel) override {
      interests[std::string(channel)] = true;
      const std::string name(channel);
      queue.push_back({.ack = true, .channel = name, .offset = sequencer_.offsets_[name],
                       .presence = sequencer_.presence_[name]});
    }
    void send_withdraw(std::string_view channel) override { interests.erase(std::string(channel)); }
    void send_known(const ipc::Known&) override {}
    void send_join(const ipc::Join& message) override {
      if (message.ticket == 0) return;
      queue.push_back({.channel = std::string(message.channel), .offset = sequencer_.offsets_[std::string(message.channel)],
                       .join = message.ticket});
    }
    void send_leave(const ipc::Leave&) override {}
    void send_ask(const ipc::Ask&) override {}
    void send_ask_users(const ipc::AskUsers&) override {}
    bool send_publish(const ipc::Publish& message) override {
      if (full) return false;
      outgoing.push_back([this, channel = std::string(message.channel), payload = std::string(message.payload),
                          except = message.except] { sequencer_.publish(channel, payload, except); });
      return true;
    }
    // The master reads what was sent to it.
    void arrive() {
      while (!outgoing.empty()) {
        const auto handle = std::move(outgoing.front());
        outgoing.pop_front();
        handle();
      }
    }
    // Hands over the next frame; false: there is none.
    bool step(hub::Hub& hub) {
      if (queue.empty()) return false;
      const Frame frame = queue.front();
      queue.pop_front();
      if (frame.answer) {
        frame.answer({});
      } else if (frame.join != 0) {
        hub.on_channel_state({.ticket = frame.join, .channel = frame.channel, .epoch = "epoch", .offset = frame.offset});
      } else if (frame.ack) {
        hub.on_interest_ack({.channel = frame.channel, .epoch = "epoch", .offset = frame.offset, .presence = frame.presence});
      } else if (frame.presence != 0) {
        hub.on_presence_change({.number = frame.presence, .channel = frame.channel, .listed = true,
                                .changes = {{.member = {.uid = 1, .user = frame.payload}}}});
      } else {
        hub.on_deliver({.offset = frame.offset, .except = frame.except, .channel = frame.channel,
                        .payload = frame.payload});
      }
      return true;
    }

    struct Frame {
      bool ack = false;
      std::string channel;
      uint64_t offset = 0;
      uint64_t except = 0;
      std::string payload;
      hub::Remote::OnAnswers answer;
      uint64_t join = 0;   // Ticket.
      uint64_t presence = 0;  // Of a change of members, whose payload is a user; or with ack.
    };
    std::deque<Frame> queue;
    std::deque<std::function<void()>> outgoing;
    std::map<std::string, bool> interests;
    bool full = false;

   private:
    Sequencer& sequencer_;
  };

  void publish(std::string_view channel, std::string_view payload, uint64_t except = 0) {
    const std::string name(channel);
    const uint64_t offset = ++offsets_[name];
    for (End* end : ends) {
      if (end->interests.contains(name)) end->queue.push_back({false, name, offset, except, std::string(payload), {}});
    }
  }

  // Somebody has come.
  void enter(std::string_view channel, std::string_view user) {
    const std::string name(channel);
    const uint64_t number = ++presence_[name];
    for (End* end : ends) {
      if (!end->interests.contains(name)) continue;
      end->queue.push_back({.channel = name, .payload = std::string(user), .answer = {}, .presence = number});
    }
  }

  std::vector<End*> ends;

 private:
  std::map<std::string, uint64_t> offsets_;
  std::map<std::string, uint64_t> presence_;
};

// A question comes back once everything that was sent to the master before is handled.
class OwnRemote final : public hub::Remote {
 public:
  explicit OwnRemote(Sequencer::End& bus) : bus_(bus) {}
  void serve(hub::Method, Handler) override {}
  bool ask_all(hub::Method, std::string_view, OnAnswers) override { return false; }
  bool ask(uint16_t, hub::Method, std::string_view, OnAnswers done) override {
    bus_.outgoing.push_back([this, done] { bus_.queue.push_back({.answer = done}); });
    return true;
  }
  bool ask_heir(hub::Method, std::string_view, OnAnswers) override { return false; }
  uint64_t expect(int64_t, OnAnswers) override { return 0; }
  void forget(uint64_t) override {}

 private:
  Sequencer::End& bus_;
};

// Members that come are told to clients like publications, as other protocols do: by their users' names.
class TellingEncoder final : public proto::Encoder {
 public:
  explicit TellingEncoder(ws::WebSockets& websockets) : raw_(websockets) {}
  void encode(const hub::Publication& publication, std::vector<proto::Encoded>& out) override {
    raw_.encode(publication, out);
  }
  void encode(const ipc::PresenceChange& change, std::vector<proto::Encoded>& out) override {
    for (const ipc::MemberChange& one : change.changes) out.push_back({.bytes = std::string(one.member.user)});
  }
  void on_gap(record::Record& record, std::string_view channel, uint64_t offset) override {
    raw_.on_gap(record, channel, offset);
  }

 private:
  proto::RawEncoder raw_;
};

class FakeWebhooks final : public hook::Webhooks {
 public:
  CallId call(const hook::Call& call, OnReply done) override {
    const std::string_view sequence = call.id.empty() ? call.id : call.id.substr(call.id.rfind('_'));  // GRIP has none.
    log.push_back(std::string(sequence) + " " + std::string(call.body));
    calls[++last_] = std::move(done);
    return last_;
  }
  void cancel(CallId id) override { calls.erase(id); }
  bool post(const hook::Event& event) override {
    events.push_back(std::string(event.type));
    return true;
  }
  void adopt_events(const FindWebhook&) override {}
  std::string leave_events(size_t& count) override { return count = 0, std::string(); }
  void forget_events(size_t) override {}
  bool take_events(std::string_view, const FindWebhook&) override { return false; }
  void drain(int64_t, std::function<void()>) override {}

  void answer(const std::string& text) {
    ASSERT_EQ(calls.size(), 1u);
    const OnReply done = std::move(calls.begin()->second);
    calls.clear();
    hook::Reply reply;
    reply.outcome = hook::Outcome::Answered;
    reply.status = 200;
    reply.actions.send.push_back({false, text});
    done(reply);
  }

  std::vector<std::string> log;     // "_sequence body"
  std::vector<std::string> events;
  std::map<CallId, OnReply> calls;  // Under way.

 private:
  CallId last_ = 0;
};

struct Node {
  Node(uint16_t the_number, std::shared_ptr<const config::Config> config, Sequencer& sequencer)
      : number(the_number), settings(std::move(config)), bus(sequencer), connections(arena, poller, page, number) {
    sequencer.ends.push_back(&bus);
    delivery.set_websockets(websockets);
    for (const auto protocol : {record::Protocol::Raw, record::Protocol::Echo}) delivery.set_encoder(protocol, encoder);
    connections.set_handler(record::Phase::Http, layer);
    connections.set_handler(record::Phase::WebSocket, websockets);
    dispatcher.set_handler(config::Action::WebSocket, websockets);
    websockets.set_application(config::WebSocketAction::Mode::Echo, echo);
    websockets.set_application(config::WebSocketAction::Mode::Raw, raw);
  }
  // As a worker ends.
  ~Node() {
    moves.stop();
    connections.for_each([this](record::Record& record) { connections.close_now(record); });
    layer.end_turn();
    hear();
    EXPECT_EQ(arena.bytes_live(), 0u) << "a connection left something behind in worker " << number;
    for (const auto metric : {metrics::Metric::WebSocketsActive, metrics::Metric::ConnectionsActive,
                              metrics::Metric::HubSubscriptions}) {
      EXPECT_EQ(page.get(metric), 0u) << metrics::name_of(metric) << " of worker " << number;
    }
  }

  void turn() {
    loop.run_once(false);
    poller.dispatch();
    connections.end_turn();
    layer.end_turn();
    moves.end_turn();
    moves.tick();
  }
  void hear() {
    bus.arrive();
    while (bus.step(hub)) {}
  }

  const uint16_t number;
  metrics::Page page{};
  log::Log log{"test"};
  uv::Loop loop;
  record::Arena arena = std::move(record::Arena::map(UniqueFd(), 512)).value();
  net::Poller poller = std::move(net::Poller::create()).value();
  Settings settings;
  Sequencer::End bus;
  net::Connections connections;
  proto::Delivery delivery{loop, connections, page, log, {}};
  hub::Hub hub{arena, bus, delivery, page};
  OwnRemote remote{bus};
  FakeWebhooks webhooks;
  Context context{.worker = number, .loop = loop, .log = log, .metrics = page, .settings = settings, .arena = arena,
                  .poller = poller, .connections = connections, .hub = hub, .remote = remote, .webhooks = webhooks};
  http::Dispatcher dispatcher{connections, settings, page, log, nullptr};
  http::HttpLayer layer{connections, dispatcher, page, log};
  ws::WebSockets websockets{context};
  TellingEncoder encoder{websockets};
  proto::ChannelPolicy policy{context};
  proto::ConnectionOps ops{context, websockets, policy};
  proto::Echo echo{websockets};
  proto::Raw raw{context, dispatcher, websockets, ops, policy};
  std::vector<ipc::Moved> reports;
  std::vector<std::string> reasons;
  Moves moves{context, [this](const ipc::Moved& moved) {
                reports.push_back(moved);
                reasons.emplace_back(moved.reason);
              }};
};

struct Client {
  UniqueFd socket;
  uint64_t uid = 0;
  std::string received;  // Not looked at yet.

  void send(std::string_view bytes) {
    ASSERT_EQ(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  // What is there; not more than `most`.
  bool read(size_t most = SIZE_MAX) {
    std::string piece(std::min<size_t>(most, 65536), '\0');
    const ssize_t got = ::recv(socket.get(), piece.data(), piece.size(), 0);
    if (got <= 0) return false;
    received.append(piece, 0, static_cast<size_t>(got));
    return true;
  }
  bool ended() {
    char byte = 0;
    return ::recv(socket.get(), &byte, 1, MSG_PEEK) == 0;
  }
};

class TwoWorkers : public ::testing::Test {
 protected:
  explicit TwoWorkers(const std::string& directives = "") {
    config_ = config_of(
        "http { webhook app { url http://127.0.0.1:1/; secret whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0; }\n"
        "server { listen 127.0.0.1:0; " + directives +
        " location = /text { return 200 text; }"
        " location = /long { return 200 " + std::string(4'000, 'x') + "; }"
        " location = /echo { websocket echo; websocket_ping_interval 0; }"
        " location = /deflate { websocket echo; websocket_deflate on; websocket_deflate_min 1; }"
        " location = /hub { websocket raw; websocket_subscribe $arg_a; websocket_subscribe $arg_b;"
        "   websocket_publish $arg_a; }"
        " location = /app { websocket raw; webhook app; } } }\n");
    source_ = std::make_unique<Node>(1, config_, sequencer_);
    destination_ = std::make_unique<Node>(2, config_, sequencer_);
  }

  Client open() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    Client client;
    client.socket.reset(ends[1]);
    net::Peer peer;
    peer.address.ss_family = AF_UNIX;
    client.uid = source_->connections.adopt(UniqueFd(ends[0]), peer, config_->http.servers[0].listens[0].id)->uid;
    return client;
  }
  Client connect(const std::string& target, const std::string& fields = "") {
    Client client = open();
    client.send("GET " + target + " HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + fields + "\r\n");
    if (target == "/app") {
      source_->turn();
      source_->webhooks.answer("");
      source_->turn();
    }
    for (int i = 0; i < 3; ++i) {
      source_->turn();
      source_->hear();
    }
    while (client.read()) {}
    EXPECT_TRUE(client.received.starts_with("HTTP/1.1 101 ")) << client.received;
    client.received.erase(0, client.received.find("\r\n\r\n") + 4);
    if (target == "/app") said(client);
    return client;
  }

  void begin_move(ipc::MoveScope scope = ipc::MoveScope::All, uint32_t count = 0) {
    auto link = std::move(ipc::Channel::make_pair()).value();
    UniqueFd page(memfd_create("decisions", MFD_CLOEXEC));
    ipc::Descriptors out, in;
    out.push_back(std::move(link.first));
    out.emplace_back(dup(page.get()));
    in.push_back(std::move(link.second));
    in.push_back(std::move(page));
    source_->moves.out({.move = 7, .scope = scope, .count = count}, out);
    destination_->moves.in(in);
  }
  bool moved() { return !source_->reports.empty(); }
  // Both go on until the source reports.
  void finish_move() {
    for (int i = 0; i < 200 && !moved(); ++i) turn_both();
    ASSERT_TRUE(moved()) << "the move does not end";
    for (int i = 0; i < 4; ++i) turn_both();
  }
  void turn_both() {
    source_->hear();
    source_->turn();
    destination_->hear();
    destination_->turn();
  }
  void move_all() {
    source_->reports.clear();
    begin_move();
    finish_move();
    ASSERT_TRUE(moved());
    EXPECT_TRUE(source_->reports.back().ok) << source_->reasons.back();
  }
  record::Record& at(Node& node, const Client& client) {
    record::Record* record = node.connections.find_uid(client.uid);
    EXPECT_NE(record, nullptr);
    return *record;
  }
  bool is_at(Node& node, const Client& client) { return node.connections.find_uid(client.uid) != nullptr; }

  // Everything that was sent to a WebSocket client, as "text payload" and so on, a line each.
  std::string said(Client& client) {
    for (int idle = 0; idle < 4;) {
      turn_both();
      idle = client.read() ? 0 : idle + 1;
    }
    std::string out;
    std::string& bytes = client.received;
    while (bytes.size() >= 2) {
      size_t size = static_cast<uint8_t>(bytes[1]), head = 2;
      if (size == 126) size = static_cast<size_t>(load_be<uint16_t>(bytes.data() + 2)), head = 4;
      if (size == 127) size = static_cast<size_t>(load_be<uint64_t>(bytes.data() + 2)), head = 10;
      if (bytes.size() < head + size) break;
      const int opcode = bytes[0] & 0x0f;
      out += opcode == 1 ? "text " : opcode == 2 ? "binary " : opcode == 8 ? "close " : opcode == 9 ? "ping " : "pong ";
      last_payload_ = bytes.substr(head, size);
      out += (opcode == 8 && size >= 2 ? std::to_string(load_be<uint16_t>(bytes.data() + head)) : last_payload_) + "\n";
      bytes.erase(0, head + size);
    }
    return out;
  }

  std::shared_ptr<const config::Config> config_;
  Sequencer sequencer_;
  std::unique_ptr<Node> source_;
  std::unique_ptr<Node> destination_;
  std::string last_payload_;
};

}  // namespace beamgate::move::testing
