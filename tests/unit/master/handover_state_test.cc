// What one image leaves to the next: comes back as it was, and nothing that is wrong with it can hurt the reader.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <random>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "master/bus/bus.h"
#include "master/handover_state.h"
#include "master/image.h"
#include "master/program_check.h"
#include "master/shared_pages.h"
#include "master/worker_state.h"

namespace beamgate::master {
namespace {

constexpr size_t kHashAt = 12, kItemsAt = 20;

HandoverState sample() {
  static const sockaddr_in address{.sin_family = AF_INET, .sin_port = 1};
  HandoverState state;
  state.process = {.generation = 4, .next_generation = 9, .next_worker = 77, .columns = 2, .address_seed = 5,
                   .started_ms = 6, .reload_again = true, .log = 7, .pages = 8, .pages_layout = 9, .lives = 10, .lives_layout = 11, .config = "events {}"};
  state.listens.push_back({.id = 3, .text = "127.0.0.1:1",
                           .address = {reinterpret_cast<const char*>(&address), sizeof address}, .backlog = 5,
                           .ipv6_only = true, .inode = 2, .sockets = {20, 21}});
  state.slots.push_back({.slot = 1, .worker = 4, .pid = 100, .state = static_cast<uint8_t>(WorkerState::Ready),
                         .wanted = true, .bus = 30, .said_hello = true, .serving = true, .bus_sent = 10, .bus_received = 11});
  state.kin = {.keeper = 99, .groups = {98, 97}};
  state.slots.push_back({.slot = 128, .wanted = true});
  state.channels.push_back({.name = "room", .epoch = "abcdefgh", .offset = 42, .interested = {1}});
  state.channels.push_back({.name = "idle", .epoch = "ijklmnop", .offset = 1, .idle_since_ms = 99});
  state.presence.push_back({.channel = "room", .number = 17, .counted = true});
  state.receipts.push_back({.key = std::string_view("room\0key", 8), .epoch = "abcdefgh", .offset = 41, .since_ms = 98});
  state.calls.push_back({.number = 6, .asker = 1, .ticket = 12, .since_ms = 97, .waiting = {1, 128}});
  state.history.push_back({.time_ms = 96, .pid = 3, .level = 5, .text = "reloaded generation=2"});
  return state;
}

// With the hash made right again.
void rehash(std::string& bytes) {
  store_le(bytes.data() + kHashAt, stable_hash(std::string_view(bytes).substr(kItemsAt)));
}

bool readable(const std::string& bytes) { return parse_handover_state(bytes).ok(); }

TEST(HandoverState, ComesBackAsItWas) {
  const std::string bytes = serialise(sample());
  const auto parsed = parse_handover_state(bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  EXPECT_EQ(serialise(parsed.value()), bytes);
  EXPECT_EQ(parsed.value().process.config, "events {}");
  EXPECT_EQ(parsed.value().listens[0].sockets, (std::vector<int32_t>{20, 21}));
  EXPECT_EQ(parsed.value().slots[0].bus_received, 11u);
  EXPECT_EQ(parsed.value().receipts[0].key.size(), 8u);
  EXPECT_EQ(parsed.value().presence[0].number, 17u);
  EXPECT_TRUE(parsed.value().presence[0].counted);
  EXPECT_EQ(parsed.value().descriptors(), (std::vector<int>{8, 10, 7, 20, 21, 30}));
  EXPECT_EQ(parsed.value().kin.keeper, 99);
  EXPECT_EQ(parsed.value().kin.groups, (std::vector<int32_t>{98, 97}));
  HandoverState renumbered = parsed.value();
  renumbered.renumber({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(renumbered.descriptors(), (std::vector<int>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(renumbered.process.log, 3);
  EXPECT_EQ(renumbered.slots[0].bus, 6);
}

TEST(HandoverState, TravelsInAFile) {
  const std::string bytes = serialise(sample());
  const auto file = write_file(bytes);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(read_file(file.value().get()).value(), bytes);
  EXPECT_FALSE(read_file(-1).ok());
}

TEST(HandoverState, WhatIsCutOrChangedIsRefused) {
  const std::string bytes = serialise(sample());
  for (size_t length = 0; length < bytes.size(); ++length) {
    std::string cut = bytes.substr(0, length);
    EXPECT_FALSE(readable(cut));
    if (cut.size() > kItemsAt) rehash(cut);
    EXPECT_FALSE(readable(cut));
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    if (at == 6 || at == 7) continue;  // Means nothing.
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    EXPECT_FALSE(readable(changed)) << at;
  }
  EXPECT_FALSE(readable(bytes + 'x'));
}

TEST(HandoverState, NoChangeMakesTheReaderStumble) {
  const std::string bytes = serialise(sample());
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = bytes;
    for (int i = static_cast<int>(random() % 4); i >= 0; --i) {
      changed[kItemsAt + random() % (changed.size() - kItemsAt)] = static_cast<char>(random());
    }
    rehash(changed);
    const auto parsed = parse_handover_state(changed);
    if (!parsed.ok()) continue;
    for (const auto& slot : parsed.value().slots) EXPECT_LT(slot.slot, ipc::kSlotsMax);
    EXPECT_GE(serialise(parsed.value()).size(), kItemsAt);
  }
}

TEST(HandoverState, UnknownItemsAreSkippedUnlessTheyAreCritical) {
  const auto with_item = [](uint16_t type) {
    std::string bytes = serialise(sample());
    char item[6 + 3] = {};
    store_le(item, type);
    store_le(item + 2, uint32_t{3});
    bytes.append(item, sizeof item);
    store_le(bytes.data() + 8, load_le<uint32_t>(bytes.data() + 8) + 1);
    rehash(bytes);
    return bytes;
  };
  EXPECT_TRUE(readable(with_item(0x0777)));
  EXPECT_FALSE(readable(with_item(0x8777)));
}

TEST(HandoverState, WhatContradictsItselfIsRefused) {
  const auto refused = [](auto change) {
    HandoverState state = sample();
    change(state);
    return !readable(serialise(state));
  };
  EXPECT_FALSE(refused([](HandoverState&) {}));
  EXPECT_TRUE(refused([](HandoverState& state) { state.slots[1].slot = 1; })) << "a slot twice";
  EXPECT_TRUE(refused([](HandoverState& state) { state.slots[1].slot = 256; }));
  EXPECT_TRUE(refused([](HandoverState& state) { state.slots[1].slot = 130; })) << "no sockets";
  EXPECT_TRUE(refused([](HandoverState& state) { state.slots[0].pid = 0; }));
  EXPECT_TRUE(refused([](HandoverState& state) { state.slots[0].pid = -1; })) << "kill(-1) would be a catastrophe";
  EXPECT_TRUE(refused([](HandoverState& state) {
    state.slots[1] = {.slot = state.slots[1].slot, .pid = -1, .state = static_cast<uint8_t>(WorkerState::Exited)};
  })) << "and so it would be for one that is gone";
  EXPECT_TRUE(refused([](HandoverState& state) { state.slots[0].state = 4; }));
  EXPECT_TRUE(refused([](HandoverState& state) { state.slots[0].bus = 1; }));
  EXPECT_TRUE(refused([](HandoverState& state) { state.channels[0].interested = {128}; })) << "has no bus";
  EXPECT_TRUE(refused([](HandoverState& state) { state.listens[0].sockets = {20}; }));
  EXPECT_TRUE(refused([](HandoverState& state) { state.listens[0].sockets = {20, 30}; })) << "a descriptor twice";
  EXPECT_TRUE(refused([](HandoverState& state) { state.listens[0].address = "x"; }));
  EXPECT_TRUE(refused([](HandoverState& state) { state.process.columns = 0; }));
  EXPECT_TRUE(refused([](HandoverState& state) { state.calls[0].asker = 300; }));
}

TEST(SharedPages, CanBeMappedAgain) {
  auto first = SharedPages::create();
  ASSERT_TRUE(first.ok());
  first.value()->metrics(130).add(metrics::Metric::ConnectionsActive, 7);
  const auto admission = first.value()->addresses().try_acquire(200, 42, 10);
  EXPECT_TRUE(admission.admitted);
  first.value()->new_life(130).keeper_pid = 5;
  const auto copy = [&](int descriptor) { return UniqueFd(dup(descriptor)); };
  auto beside = SharedPages::create_beside(copy(first.value()->lives_descriptor()));
  ASSERT_TRUE(beside.ok());
  EXPECT_EQ(beside.value()->life(130).keeper_pid, 5);
  EXPECT_EQ(beside.value()->metrics(130).get(metrics::Metric::ConnectionsActive), 0u);
  auto second = SharedPages::adopt(copy(first.value()->descriptor()), copy(first.value()->lives_descriptor()));
  ASSERT_TRUE(second.ok());
  first.value().reset();
  EXPECT_EQ(second.value()->metrics(130).get(metrics::Metric::ConnectionsActive), 7u);
  EXPECT_EQ(second.value()->addresses().count(42), 1u);
  EXPECT_EQ(second.value()->life(130).keeper_pid, 5);
  second.value()->addresses().release(200, admission.entry);
  EXPECT_EQ(second.value()->addresses().count(42), 0u);
  // What limits count goes on as well.
  const ipc::RateTable::Window window = ipc::RateTable::window("z", 8 << 10);
  const ipc::RateTable::Rate rate{.per_second_milli = 1, .burst_milli = 0};
  EXPECT_TRUE(second.value()->rates().take(window, 7, rate, 1'000).admitted);
  EXPECT_TRUE(second.value()->counted_keys().try_acquire(200, 43, 10).admitted);
  auto third = SharedPages::adopt(copy(second.value()->descriptor()), copy(second.value()->lives_descriptor()));
  ASSERT_TRUE(third.ok());
  EXPECT_FALSE(third.value()->rates().take(window, 7, rate, 1'000).admitted);
  EXPECT_EQ(third.value()->counted_keys().count(43), 1u);
  third.value()->drop_slot(200);
  EXPECT_EQ(third.value()->counted_keys().count(43), 0u);
  EXPECT_FALSE(SharedPages::adopt(copy(0), copy(0)).ok()) << "another file";
}

struct NoEvents : Bus::Observer {
  void on_ready(uint16_t, uint32_t) override {}
  void on_prepared(uint16_t, const ipc::Prepared&) override {}
  void on_moved(uint16_t, const ipc::Moved&) override {}
  void on_recounted() override {}
  void on_bus_closed(uint16_t) override {}
  void on_misbehaved(uint16_t, const char*) override { misbehaved = true; }
  bool misbehaved = false;
};

class BusHandoverTest : public testing::Test {
 protected:
  BusHandoverTest() {
    auto ends = ipc::Channel::make_pair();
    EXPECT_TRUE(old_->attach(5, 50, std::move(ends.value().first)).ok());
    worker_ = std::make_unique<ipc::Channel>(std::move(ends.value().second));
    worker_->send(ipc::Hello{.worker = 50});
    worker_->send(ipc::Ready{1});
    worker_->send(ipc::Interest{"room"});
  }
  // What the worker got; each as its kind and offset.
  std::string worker_sees() {
    static_cast<void>(worker_->flush().ok());
    loop_.run_turn(0);
    (next_ ? next_ : old_)->flush();
    std::string out;
    const auto received = worker_->receive([&](const ipc::Frame& frame) {
      ipc::Deliver deliver;
      ipc::InterestAck interest;
      ipc::PublishAck ack;
      if (frame.kind == ipc::Kind::Deliver && ipc::decode(frame.body, deliver)) out += "deliver" + std::to_string(deliver.offset) + ' ';
      if (frame.kind == ipc::Kind::InterestAck && ipc::decode(frame.body, interest)) out += "interest ";
      if (frame.kind == ipc::Kind::PublishAck && ipc::decode(frame.body, ack)) out += "ack" + std::to_string(ack.offset) + std::string(ack.epoch) + ' ';
      return true;
    });
    EXPECT_TRUE(received.ok());
    return out;
  }
  // As an exec does it: the descriptor stays, the objects go.
  void hand_over() {
    HandoverState state;
    state.slots.push_back({.slot = 5});
    old_->leave(state);
    state.slots[0].bus = dup(state.slots[0].bus);
    state.slots[0].pid = 1;
    next_ = std::make_unique<Bus>(loop_, log_, events_);
    ASSERT_TRUE(next_->adopt(state).ok());
    old_.reset();
  }

  EventLoop loop_;
  log::Log log_{"test"};
  NoEvents events_;
  std::unique_ptr<Bus> old_ = std::make_unique<Bus>(loop_, log_, events_), next_;
  std::unique_ptr<ipc::Channel> worker_;
};

TEST_F(BusHandoverTest, NumbersAndReceiptsGoOn) {
  worker_->send(ipc::Publish{.ticket = 1, .channel = "room", .payload = "a", .idempotency_key = "k"});
  const std::string first = worker_sees();
  EXPECT_EQ(first.substr(0, 24), "interest deliver1 ack1" + first.substr(22, 2));
  worker_->send(ipc::Publish{.channel = "room", .payload = "b"});
  ASSERT_TRUE(worker_->flush().ok());
  ASSERT_TRUE(old_->settle(1'000));
  hand_over();
  EXPECT_EQ(worker_sees(), "deliver2 ") << "what lay in the socket";
  worker_->send(ipc::Publish{.ticket = 2, .channel = "room", .payload = "a", .idempotency_key = "k"});
  EXPECT_EQ(worker_sees(), first.substr(18)) << "once, as before";
  EXPECT_FALSE(events_.misbehaved);
}

TEST_F(BusHandoverTest, AFrameThatIsCutOverPacketsIsReadToItsEnd) {
  const std::string large(ipc::kPacketBytesMax * 40, 'x');
  worker_->send(ipc::Publish{.channel = "room", .payload = large});
  ASSERT_EQ(worker_->flush().value(), ipc::Channel::Progress::More) << "more than the socket takes";
  loop_.run_turn(0);
  EXPECT_FALSE(old_->settle(10)) << "its end has not been sent";
  std::string seen;
  for (int i = 0; i < 1'000 && !old_->settle(0); ++i) seen += worker_sees();
  ASSERT_TRUE(old_->settle(0));
  hand_over();
  for (int i = 0; i < 1'000 && seen.find("deliver1") == seen.npos; ++i) seen += worker_sees();
  EXPECT_EQ(seen, "interest deliver1 ");
  EXPECT_FALSE(events_.misbehaved);
}

TEST_F(BusHandoverTest, AWorkerThatDoesNotReadHoldsItUp) {
  worker_sees();
  for (int i = 0; i < 400; ++i) worker_->send(ipc::Publish{.channel = "room", .payload = std::string(60'000, 'x')});
  for (int i = 0; i < 400; ++i) {
    static_cast<void>(worker_->flush().ok());
    loop_.run_turn(0);
    old_->flush();
  }
  EXPECT_FALSE(old_->settle(10));
  worker_sees();
}

// A program to its end.
struct CheckTest : testing::Test {
  std::string run(const std::string& shell, int inherited = -1) {
    std::string out = "no end";
    bool ended = false;
    const auto run = check.run("/bin/sh", {"sh", "-c", shell}, "GIVEN", inherited,
                               [&](const ProgramCheck::Ending& ending, const std::string& output) {
                                 out = (ending.answered ? "" : "no answer: ") + ending.failure + '|' + output;
                                 ended = true;
                               });
    EXPECT_TRUE(run.ok());
    while (!ended) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid > 0) check.child_exited(pid, status);
      loop.run_turn(1);
    }
    EXPECT_EQ(loop.alive(), 0u);
    return out;
  }
  EventLoop loop;
  log::Log log{"test"};
  ProgramCheck check{loop, log};
};

TEST_F(CheckTest, TellsHowItEndedAndWhatItSaid) {
  EXPECT_EQ(run("echo yes; echo and >&2"), "|yes\nand\n");
  EXPECT_EQ(run("exit 3"), "status 3|");
  EXPECT_EQ(run("kill -9 $$"), "no answer: it was ended by signal 9|");
  EXPECT_EQ(run("exit 127"), "status 127|");
  EXPECT_EQ(run("head -c 100000 /dev/zero | tr '\\0' x").size(), 1 + ProgramCheck::kOutputBytesMax);
  const UniqueFd file = write_file("text").value();
  lseek(file.get(), 0, SEEK_SET);
  EXPECT_EQ(run("cat <&$GIVEN", file.get()), "|text");
}

TEST(Program, IsFoundByItsName) {
  const char* absolute[] = {"/usr/sbin/beamgate", "-c", "x"};
  EXPECT_EQ(this_program(3, absolute).path, "/usr/sbin/beamgate");
  EXPECT_EQ(this_program(3, absolute).arguments.size(), 3u);
  const char* relative[] = {"./beamgate"};
  EXPECT_EQ(this_program(1, relative).path, std::filesystem::current_path().string() + "/./beamgate");
  const char* bare[] = {"beamgate"};
  EXPECT_NE(this_program(1, bare).path.find("unit_master"), std::string::npos);
}

}  // namespace
}  // namespace beamgate::master
