// Master's bus: nothing that workers send hurts the master or each other; a worker that keeps to the rules is served on.
// Input: frames, each a byte for the worker (0 or 1), a byte for the kind (common/ipc/messages.h), a u8 size and the body.
#include <map>

#include "common/base/assert.h"
#include "common/config/load.h"
#include "master/bus/bus.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"

namespace beamgate::fuzz {
namespace {

constexpr size_t kFramesMax = 60;

struct Observer final : master::Bus::Observer {
  void on_ready(uint16_t, uint32_t) override {}
  void on_recounted() override {}
  void on_prepared(uint16_t, const ipc::Prepared&) override {}
  void on_moved(uint16_t, const ipc::Moved&) override {}
  void on_bus_closed(uint16_t) override {}
  void on_misbehaved(uint16_t slot, const char* reason) override {
    BG_ASSERT(slot < 2 && reason[0] != '\0');
  }
};

std::shared_ptr<const config::Config> make_config() {
  const auto loaded = config::load_text(
      "http { webhook app { url http://127.0.0.1:1/; secret whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0; }"
      " channels room* { presence on; presence_webhook app; history 10 1m; } channels fast* { conflate 1s; }"
      " users { history 5 1h; presence_webhook app; } server { listen 127.0.0.1:1; } }");
  if (!loaded.ok()) fputs(config::report(loaded).c_str(), stderr);
  BG_ASSERT(loaded.ok());
  return loaded.config;
}

// Two workers that may be hostile, and a third one that isn't.
class Node {
 public:
  Node() {
    static const auto config = make_config();
    log_.set_level(log::Level::Emerg);
    loop_.set_turn_end([this] { bus_.flush(); });
    bus_.follow(config);
    for (uint16_t slot = 0; slot < 3; ++slot) {
      auto ends = std::move(ipc::Channel::make_pair()).value();
      BG_ASSERT(bus_.attach(slot, static_cast<uint16_t>(100 + slot), std::move(ends.first)).ok());
      workers_.push_back(std::make_unique<ipc::Channel>(std::move(ends.second)));
      workers_.back()->send(ipc::Hello{.worker = static_cast<uint16_t>(100 + slot)});
      workers_.back()->send(ipc::Ready{1});
    }
    turn();
  }

  void send(size_t worker, ipc::Kind kind, std::string_view body) { workers_[worker]->send_body(kind, body); }

  void turn() {
    for (auto& worker : workers_) static_cast<void>(worker->flush().ok());
    loop_.run_turn(0);
    for (size_t i = 0; i < workers_.size(); ++i) {
      static_cast<void>(workers_[i]->receive([&](const ipc::Frame& frame) {
        if (i == 2 && frame.kind == ipc::Kind::PublishAck) ++acknowledged_;
        return true;
      }).ok());
    }
  }

  bool serves_the_third() {
    const int before = acknowledged_;
    workers_[2]->send(ipc::Publish{.ticket = 7, .channel = "room", .payload = "hello"});
    for (int i = 0; i < 4 && acknowledged_ == before; ++i) turn();
    return acknowledged_ == before + 1;
  }

  // What would be left to another image is readable by it.
  void check_handover() {
    for (uint16_t slot = 0; slot < 2; ++slot) bus_.detach(slot);
    turn();
  }

 private:
  master::EventLoop loop_;
  log::Log log_{"fuzz"};
  Observer observer_;
  master::Bus bus_{loop_, log_, observer_};
  std::vector<std::unique_ptr<ipc::Channel>> workers_;
  int acknowledged_ = 0;
};

}  // namespace

FUZZ_TARGET(master_bus) {
  Node node;
  Input input(bytes);
  for (size_t frames = 0; !input.empty() && frames < kFramesMax; ++frames) {
    const size_t worker = input.byte() & 1;
    const auto kind = static_cast<ipc::Kind>(input.byte());
    node.send(worker, kind, input.bytes(input.byte()));
    node.turn();
  }
  node.turn();
  BG_ASSERT(node.serves_the_third());
  node.check_handover();
}

}  // namespace beamgate::fuzz
