#include "tests/fuzz/fuzzed_worker.h"

#include "common/base/assert.h"
#include "tests/fuzz/input.h"
#include "tests/unit/worker/move/two_workers.h"
#include "worker/hook/reply_reader.h"
#include "worker/layers.h"

namespace beamgate::fuzz {

using namespace move::testing;

namespace {

// The newest event of a reader of several channels stays for the next one (proto/event_stream.cc).
constexpr uint64_t kKeptBytesMax = 8 << 10;

}  // namespace

struct FuzzedWorker::Parts {
  explicit Parts(const std::string& configuration) : settings(load(configuration)), bus(sequencer), remote(bus) {
    log.set_level(log::Level::Emerg);
    sequencer.ends.push_back(&bus);
    layers.wire(delivery);
  }

  static std::shared_ptr<const config::Config> load(const std::string& configuration) {
    const auto loaded = config::load_text(configuration);
    if (!loaded.ok()) fputs(config::report(loaded).c_str(), stderr);
    BG_ASSERT(loaded.ok());
    return loaded.config;
  }

  void turn() {
    loop.run_once(false);
    poller.dispatch();
    connections.end_turn();
    layers.end_turn();
    arena.commit_turn();
    bus.arrive();
    while (bus.step(hub)) {}
  }

  metrics::Page page{};
  log::Log log{"fuzz"};
  uv::Loop loop;
  record::Arena arena = std::move(record::Arena::map(UniqueFd(), 64)).value();
  net::Poller poller = std::move(net::Poller::create()).value();
  Settings settings;
  Sequencer sequencer;
  Sequencer::End bus;
  net::Connections connections{arena, poller, page, 1};
  proto::Delivery delivery{loop, connections, page, log, {}};
  hub::Hub hub{arena, bus, delivery, page};
  OwnRemote remote;
  FakeWebhooks webhooks;
  Context context{.worker = 1, .loop = loop, .log = log, .metrics = page, .settings = settings, .arena = arena,
                  .poller = poller, .connections = connections, .hub = hub, .remote = remote, .webhooks = webhooks};
  Layers layers{context};
  UniqueFd client;
  uint64_t uid = 0;
};

FuzzedWorker::FuzzedWorker(const std::string& configuration) : parts_(std::make_unique<Parts>(configuration)) {}
FuzzedWorker::~FuzzedWorker() = default;

void FuzzedWorker::connect(size_t listen) {
  int ends[2];
  BG_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  parts_->client.reset(ends[1]);
  const config::Config& config = parts_->settings.current();
  std::vector<uint32_t> ids;
  for (const auto& server : config.http.servers) {
    for (const auto& one : server.listens) ids.push_back(one.id);
  }
  for (const auto& line : config.lines) {
    for (const auto& one : line.listens) ids.push_back(one.id);
  }
  net::Peer peer;
  peer.address.ss_family = AF_UNIX;
  parts_->uid = parts_->connections.adopt(UniqueFd(ends[0]), peer, ids.at(listen))->uid;
}

void FuzzedWorker::send(std::string_view bytes) {
  static_cast<void>(::send(parts_->client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
}

void FuzzedWorker::shut_down() { shutdown(parts_->client.get(), SHUT_WR); }

std::string FuzzedWorker::receive() {
  std::string out;
  char piece[16 << 10];
  for (ssize_t got; (got = recv(parts_->client.get(), piece, sizeof piece, 0)) > 0;) {
    out.append(piece, static_cast<size_t>(got));
  }
  return out;
}

bool FuzzedWorker::connected() const { return parts_->connections.find_uid(parts_->uid) != nullptr; }

void FuzzedWorker::turn(int times) {
  for (; times > 0; --times) parts_->turn();
}

void FuzzedWorker::answer_calls(std::string_view text, bool grip) {
  Input input(text);
  hook::ReplyReader reader(64 << 10);
  if (grip) reader.expect_grip({}, true);
  bool good = true;
  while (good && !input.empty()) {
    const std::string line = std::string(input.line()) + '\n';
    good = reader.on_head_line(line);
    if (line == "\n" || line == "\r\n") break;
  }
  if (!good || !reader.on_body(input.rest())) return;
  const hook::Reply reply = reader.finish(200, 1'700'000'000'000);
  const auto calls = std::exchange(parts_->webhooks.calls, {});
  for (const auto& call : calls) call.second(reply);
  parts_->webhooks.log.clear();
  parts_->webhooks.events.clear();
}

void FuzzedWorker::publish(std::string_view channel, std::string_view payload) { parts_->sequencer.publish(channel, payload); }

void FuzzedWorker::finish() {
  parts_->client.reset();
  turn(2);
  parts_->connections.for_each([this](record::Record& record) { parts_->connections.close_now(record); });
  turn(2);
  parts_->webhooks.calls.clear();
  parts_->webhooks.log.clear();
  parts_->webhooks.events.clear();
  BG_ASSERT(parts_->arena.bytes_live() <= kKeptBytesMax);
  for (const auto metric : {metrics::Metric::WebSocketsActive, metrics::Metric::ConnectionsActive, metrics::Metric::HubSubscriptions}) {
    BG_ASSERT(parts_->page.get(metric) == 0);
  }
}

}  // namespace beamgate::fuzz
