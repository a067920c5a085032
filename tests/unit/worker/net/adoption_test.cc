// A worker that is killed while it serves, and its successor: each connection goes on at the byte where it was.
//
// The worker is a forked child that shares the arena (a memfd) and was given the server's end of each TCP
// connection before the fork, so that the numbers mean the same to the successor, which is the test's own process.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "common/base/clock.h"
#include "worker/net/connections.h"
#include "worker/record/text_block.h"

namespace beamgate::net {
namespace {

using record::ConnId;
using record::Phase;
using record::Record;

// Answers "n" bytes with "N" bytes, a letter each; what the test wants done on the way is done at a letter.
class Upper final : public PhaseHandler {
 public:
  explicit Upper(Connections*& connections) : connections_(connections) {}

  size_t on_bytes(Record& record, std::span<const char> bytes) override {
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (on_letter) on_letter(record, bytes[i]);
      if (bytes[i] == '.') return i;  // As if more had to come behind it.
      const char upper = static_cast<char>(bytes[i] - 'a' + 'A');
      EXPECT_TRUE(connections_->send(record, {&upper, 1}));
    }
    return bytes.size();
  }
  void on_end(Record& record) override { connections_->close_gracefully(record); }
  void on_drained(Record&) override {}
  void on_deadline(Record&) override {}
  void on_gone(Record&) override { ++gone; }
  void on_adopted(Record&) override { ++adopted; }

  std::function<void(Record&, char)> on_letter;
  int adopted = 0;
  int gone = 0;

 private:
  Connections*& connections_;
};

struct Pair {
  UniqueFd client;
  int server = -1;  // Whoever serves it closes it.
};

Pair connect_pair() {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  EXPECT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(listen(listener.get(), 8), 0);
  EXPECT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  Pair pair;
  pair.client.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(pair.client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  pair.server = accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  EXPECT_GE(pair.server, 0);
  return pair;
}

class AdoptionTest : public testing::Test {
 protected:
  struct Worker {
    explicit Worker(record::Arena&& arena_, Poller&& poller_, ipc::Life& life)
        : arena(std::move(arena_)), poller(std::move(poller_)), upper(self) {
      connections = std::make_unique<Connections>(arena, poller, page, uint16_t{1});
      self = connections.get();
      connections->set_life(life);
      connections->set_handler(Phase::Http, upper);
      connections->set_handler(Phase::WebSocket, upper);
    }
    void turn() {
      poller.dispatch();
      connections->end_turn();
    }

    metrics::Page page{};
    record::Arena arena;
    Poller poller;
    Connections* self = nullptr;
    Upper upper;
    std::unique_ptr<Connections> connections;
  };

  AdoptionTest()
      : file_(memfd_create("arena", MFD_CLOEXEC)), poller_(std::move(Poller::create()).value()) {
    void* page = mmap(nullptr, sizeof(ipc::Life), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    life_ = new (page) ipc::Life();
    for (int i = 0; i < 3; ++i) pairs_.push_back(connect_pair());
  }
  ~AdoptionTest() override { munmap(life_, sizeof(ipc::Life)); }

  void say(size_t client, std::string_view text) {
    ASSERT_EQ(::send(pairs_[client].client.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  std::string hear(size_t client, size_t bytes) {
    std::string out(bytes, '\0');
    size_t done = 0;
    while (done < bytes) {
      const ssize_t got = recv(pairs_[client].client.get(), out.data() + done, bytes - done, 0);
      if (got <= 0) break;
      done += static_cast<size_t>(got);
    }
    out.resize(done);
    return out;
  }
  std::string hear_now(size_t client) {
    char bytes[64 << 10];
    const ssize_t got = recv(pairs_[client].client.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    return got > 0 ? std::string(bytes, static_cast<size_t>(got)) : std::string();
  }

  // Serves all pairs in a child until `live` returns, or ends the child itself.
  void worker(const std::function<void(Worker&)>& live) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      Worker worker(std::move(record::Arena::map(UniqueFd(dup(file_.get())), 8)).value(),
                    Poller::inherit(UniqueFd(dup(poller_.fd()))), *life_);
      for (const Pair& pair : pairs_) {
        Peer peer;
        peer.address.ss_family = AF_INET;
        worker.connections->adopt(UniqueFd(pair.server), peer, 1);
      }
      worker.arena.journal().open_always();
      live(worker);
      _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }

  std::unique_ptr<Worker> successor(bool blame = false) {
    record::Arena old = std::move(record::Arena::open(UniqueFd(dup(file_.get())))).value();
    std::vector<uint32_t> restored;
    EXPECT_TRUE(old.undo(restored));
    auto next = std::make_unique<Worker>(std::move(record::Arena::map(UniqueFd(), 8)).value(),
                                         Poller::inherit(UniqueFd(dup(poller_.fd()))), *life_);
    adopted_ = next->connections->adopt_all(
        old, life_->now, blame, restored, [](const Record&) { return true; },
        [](const Record&, Record&) { return true; });
    next->arena.journal().open_always();
    return next;
  }

  UniqueFd file_;
  Poller poller_;
  ipc::Life* life_ = nullptr;
  std::vector<Pair> pairs_;
  Connections::Adopted adopted_;
};

TEST_F(AdoptionTest, IdleConnectionsGoOn) {
  worker([](Worker&) {});
  const auto next = successor();
  EXPECT_EQ(adopted_.connections, 3u);
  EXPECT_EQ(next->upper.adopted, 3);
  for (size_t i = 0; i < 3; ++i) {
    say(i, "abc");
    next->turn();
    EXPECT_EQ(hear(i, 3), "ABC");
  }
}

TEST_F(AdoptionTest, UsersAreKnownToTheSuccessor) {
  worker([](Worker& worker) {
    int named = 0;
    worker.connections->for_each([&](Record& record) {
      const char* user = ++named < 3 ? "ann" : "bob";
      worker.connections->serve(record, ipc::Doing::Application,
                                [&] { EXPECT_TRUE(worker.connections->set_user(record, user)); });
    });
    EXPECT_EQ(worker.connections->of_user("ann").size(), 2u);
  });
  const auto next = successor();
  ASSERT_EQ(next->connections->of_user("ann").size(), 2u);
  EXPECT_EQ(next->connections->of_user("an").size(), 0u);
  next->connections->close_now(*next->connections->find(next->connections->of_user("ann")[0]));
  EXPECT_EQ(next->connections->of_user("ann").size(), 1u);
}

TEST_F(AdoptionTest, BytesThatWereReadAndNotDealtWithAreDealtWith) {
  say(1, "hello");
  worker([](Worker& worker) {
    worker.upper.on_letter = [](Record&, char letter) {
      if (letter == 'o') _exit(0);
    };
    worker.turn();
  });
  EXPECT_EQ(hear_now(1), "") << "nothing leaves before its step is committed";
  const auto next = successor();
  EXPECT_EQ(adopted_.connections, 3u);
  next->turn();
  EXPECT_EQ(hear(1, 5), "HELLO");
  say(1, "again");
  next->turn();
  EXPECT_EQ(hear(1, 5), "AGAIN");
}

TEST_F(AdoptionTest, TheCarryComesFirst) {
  say(0, "ab.");
  worker([this](Worker& worker) {
    worker.turn();
    EXPECT_EQ(hear(0, 2), "AB");
    say(0, "cd");
    worker.upper.on_letter = [](Record&, char) { _exit(0); };
    worker.turn();
  });
  const auto next = successor();
  EXPECT_EQ(next->arena.records()[0].bytes_received, 5u);
  next->turn();
  const Record& record = next->arena.records()[0];
  EXPECT_EQ(std::string(next->arena.at(record.carry), record.carry_bytes), ".cd");
}

TEST_F(AdoptionTest, WhatTheStepChangedIsAsItWas) {
  worker([this](Worker& worker) {
    Record& record = worker.arena.records()[2];
    {
      const record::Step step(worker.arena);
      record::touch(worker.arena, record);
      record::assign_text(worker.arena, record.user, "ada");
    }
    worker.upper.on_letter = [&worker](Record& served, char) {
      record::assign_text(worker.arena, served.user, "bob");
      worker.connections->close_now(worker.arena.records()[0]);  // Another one, too.
      _exit(0);
    };
    say(2, "x");
    worker.turn();
  });
  const auto next = successor();
  EXPECT_EQ(adopted_.connections, 3u);
  EXPECT_EQ(record::text_of(next->arena, next->arena.records()[2].user), "ada");
  next->turn();
  EXPECT_EQ(hear(2, 1), "X");
  say(0, "still");
  next->turn();
  EXPECT_EQ(hear(0, 5), "STILL");
}

// The reader is slow, so that the kernel takes a part only: whatever it took, the rest follows.
TEST_F(AdoptionTest, HalfWrittenOutputIsFinished) {
  const std::string large(12 << 20, 'z');  // More than the buffers of both sides grow to.
  worker([&](Worker& worker) {
    Record& record = worker.arena.records()[1];
    record.outbound_limit = 16 << 20;
    for (size_t at = 0; at < large.size(); at += 50'000) {
      EXPECT_TRUE(worker.connections->send(record, std::string_view(large).substr(at, 50'000)));
    }
    worker.connections->end_turn();
    EXPECT_GT(record.outbound_bytes, 0u);
  });
  const auto next = successor();
  std::string got;
  while (got.size() < large.size()) {
    const std::string part = hear_now(1);
    got += part;
    if (part.empty()) next->turn();
  }
  EXPECT_EQ(got, large);
}

TEST_F(AdoptionTest, TheOneThatIsToBlameIsClosedAndNoOther) {
  say(1, "!");
  worker([](Worker& worker) {
    worker.upper.on_letter = [](Record&, char) { _exit(0); };
    worker.turn();
  });
  const auto next = successor(true);
  EXPECT_EQ(adopted_.connections, 2u);
  EXPECT_EQ(adopted_.blamed, 1u);
  EXPECT_EQ(next->upper.gone, 1);
  EXPECT_EQ(hear(1, 1), "");
  say(2, "on");
  next->turn();
  EXPECT_EQ(hear(2, 2), "ON");
}

// Nobody knows any more what of its bytes has come; but that it has gone is told to its layer.
TEST_F(AdoptionTest, OneThatItsClientResetsMeanwhileHasGone) {
  say(1, "!");
  worker([](Worker& worker) {
    worker.connections->enter_phase(worker.arena.records()[1], Phase::WebSocket);
    worker.upper.on_letter = [](Record&, char) { _exit(0); };
    worker.turn();
  });
  const linger at_once{1, 0};
  ASSERT_EQ(setsockopt(pairs_[1].client.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  pairs_[1].client.reset();
  const auto next = successor();
  EXPECT_EQ(adopted_.connections, 2u);
  EXPECT_EQ(adopted_.lost, 1u);
  EXPECT_EQ(adopted_.lost_uids.size(), 1u);
  EXPECT_EQ(next->upper.gone, 1);
  say(2, "on");
  next->turn();
  EXPECT_EQ(hear(2, 2), "ON");
}

TEST_F(AdoptionTest, ADamagedRecordCostsItsOwnConnection) {
  say(1, "ab.");
  worker([](Worker& worker) {
    worker.turn();
    worker.arena.records()[1].carry = 12345;  // No block.
  });
  const auto next = successor();
  EXPECT_EQ(adopted_.connections, 2u);
  EXPECT_EQ(adopted_.lost, 1u);
  EXPECT_EQ(hear(1, 3), "AB");
  say(0, "on");
  next->turn();
  EXPECT_EQ(hear(0, 2), "ON");
}

TEST_F(AdoptionTest, DeadlinesKeepTheirTime) {
  const int64_t at_ms = monotonic_ms() + 60'000;
  worker([&](Worker& worker) {
    worker.connections->set_deadline(worker.arena.records()[0], at_ms);
    worker.turn();
  });
  const auto next = successor();
  const int64_t kept_ms = next->connections->deadline_ms(next->arena.records()[0]);
  EXPECT_GE(kept_ms, at_ms);
  EXPECT_LE(kept_ms, at_ms + 2 * TimerWheel::kTickMs);
}

TEST_F(AdoptionTest, ARequestInFlightEndsItsConnection) {
  worker([](Worker& worker) { worker.arena.records()[0].flags |= record::kFlagExchange; });
  const auto next = successor();
  EXPECT_EQ(adopted_.connections, 2u);
  EXPECT_EQ(hear(0, 1), "");
}

}  // namespace
}  // namespace beamgate::net
