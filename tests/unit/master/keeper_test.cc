// A keeper with real processes: a small worker tells on its bus what it found and does what it is told, so that
// it dies in every way there is.  The test is its master: it knows the keeper's process only, and the Life.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "common/base/clock.h"
#include "common/config/load.h"
#include "common/ipc/life.h"
#include "common/ipc/robust_word.h"
#include "master/keeper/clone.h"
#include "master/worker_process.h"

namespace beamgate::master {
namespace {

constexpr int kKeeperPatienceMs = 20'000;

// Says "slot pid generation listens death-of-the-predecessor arena's-text" and obeys.
class SmallWorker {
 public:
  explicit SmallWorker(ipc::Handover&& handover) : handover_(std::move(handover)), life_(*handover_.life) {}

  int run() {
    const std::string mood = handover_.config->pid_path;
    if (mood == "/unserved" && handover_.predecessor) _exit(1);
    std::string found = "none";
    if (handover_.predecessor) {
      char text[64] = {};
      if (pread(handover_.predecessor->arena.get(), text, sizeof text - 1, 0) > 0) found = text;
    }
    say("pid=" + std::to_string(getpid()) + " generation=" + std::to_string(handover_.generation) +
        " listens=" + std::to_string(handover_.listens.size()) + " death=" +
        (handover_.predecessor ? std::to_string(handover_.predecessor->death) : "none") + " found=" + found);
    const std::string mark = "arena of " + std::to_string(getpid());
    EXPECT_EQ(pwrite(handover_.arena.get(), mark.data(), mark.size(), 0), static_cast<ssize_t>(mark.size()));
    bequeath();
    life_.serving = mood != "/never";
    if (mood == "/never") _exit(3);
    for (;;) {
      life_.heartbeat_ms = monotonic_ms();
      pollfd fd{handover_.bus.get(), POLLIN, 0};
      if (poll(&fd, 1, 20) == 0) continue;
      char text[64];
      const ssize_t got = recv(handover_.bus.get(), text, sizeof text, 0);
      if (got <= 0) return 7;
      if (const int status = obey(std::string(text, static_cast<size_t>(got))); status >= 0) return status;
    }
  }

 private:
  void say(const std::string& text) {
    EXPECT_EQ(send(handover_.bus.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }

  void bequeath() {
    ipc::Inheritance next = life_.inherited();
    next.arena = handover_.arena.get();
    next.poller = -1;
    next.generation = generation_ == 0 ? handover_.generation : generation_;
    next.config = text_.valid() ? text_.get() : handover_.config_text.get();
    life_.inherit(next);
  }

  int obey(const std::string& what) {
    if (what == "leave") return 42;
    if (what == "abort") abort();
    if (what == "exit") _exit(9);
    if (what == "stick") {
      say("sticking");
      for (;;) pause();
    }
    if (what == "crash, as a life line tells it") {
      life_.death = SIGSEGV;
      ipc::announce_death(life_.worker_word);
      while (life_.released != static_cast<uint32_t>(getpid()))
        ipc::wait_word(life_.released, 0, kKeeperPatienceMs);
      signal(SIGSEGV, SIG_DFL);
      raise(SIGSEGV);
    }
    if (what == "new configuration") {
      text_.reset(memfd_create("test", MFD_CLOEXEC));
      const std::string text = "pid /new; events {} http { server { listen 127.0.0.1:0; return 204; } }";
      EXPECT_EQ(write(text_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
      generation_ = 17;
      bequeath();
    }
    say(handover_.config->pid_path);
    return -1;
  }

  ipc::Handover handover_;
  ipc::Life& life_;
  UniqueFd text_;
  uint32_t generation_ = 0;
};

class KeeperTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = why_no_keeper();
    if (!reason.empty()) GTEST_SKIP() << reason;
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    void* memory = mmap(nullptr, sizeof(ipc::Life) + sizeof(metrics::Page), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    life_ = new (memory) ipc::Life();
    page_ = reinterpret_cast<metrics::Page*>(life_ + 1);
    ASSERT_EQ(pipe2(listen_, O_CLOEXEC), 0);
  }

  void TearDown() override {
    if (life_ == nullptr) return;
    life_->leaving = true;
    for (const pid_t pid : {life_->worker_pid.load(), life_->keeper_pid.load(), life_->standby_pid.load()}) {
      if (pid > 0 && getpgid(pid) == getpgrp()) kill(pid, SIGKILL);
    }
    while (waitpid(-1, nullptr, 0) > 0) continue;
    munmap(life_, sizeof(ipc::Life) + sizeof(metrics::Page));
    close(listen_[0]);
    close(listen_[1]);
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  }

  void start(const std::string& directory = "", const std::string& main = "") {
    const std::string text = (directory.empty() ? "" : "pid " + directory + ";") + main +
                             " events {} http { server { listen 127.0.0.1:0; return 204; } }";
    auto config = std::make_shared<config::Config>(*config::load_text(text).config);
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    bus_.reset(ends[0]);
    WorkerPlan plan;
    plan.slot = 3;
    plan.generation = 5;
    plan.config = config;
    plan.bus.reset(ends[1]);
    plan.arena.reset(memfd_create("test-arena", MFD_CLOEXEC));
    plan.listens = {{1, listen_[0]}};
    plan.metrics = page_;
    plan.life = life_;
    const auto child = fork_worker(
        std::move(plan), [](ipc::Handover&& handover) { return SmallWorker(std::move(handover)).run(); });
    ASSERT_TRUE(child.ok());
    keeper_ = child.value();
  }

  void tell(const std::string& what) {
    ASSERT_EQ(send(bus_.get(), what.data(), what.size(), 0), std::ssize(what));
  }

  // The next that a worker says; "end" when the slot's last process is gone.
  std::string hear() {
    pollfd fd{bus_.get(), POLLIN, 0};
    if (poll(&fd, 1, kKeeperPatienceMs) != 1) return "nothing";
    char text[200];
    const ssize_t got = recv(bus_.get(), text, sizeof text, 0);
    return got > 0 ? std::string(text, static_cast<size_t>(got)) : "end";
  }

  std::string field(const std::string& text, const std::string& name) {
    const size_t at = text.find(name + '=');
    if (at == text.npos) return text;
    const size_t begin = at + name.size() + 1;
    return name == "found" ? text.substr(begin) : text.substr(begin, text.find(' ', begin) - begin);
  }

  // The successor that says hello must have been told of this death of that worker.
  void expect_successor_of(pid_t dead, int32_t death) {
    const std::string said = hear();
    EXPECT_EQ(field(said, "death"), std::to_string(death)) << said;
    EXPECT_EQ(field(said, "found"), "arena of " + std::to_string(dead));
    EXPECT_EQ(field(said, "listens"), "1");
    EXPECT_EQ(field(said, "pid"), std::to_string(life_->worker_pid));
    EXPECT_NE(life_->worker_pid, dead);
  }

  pid_t serve() {
    EXPECT_EQ(field(hear(), "death"), "none");
    return serving_worker();
  }

  // What happens only soon is waited for by its futex, or by asking the worker.
  pid_t serving_worker() {
    tell("are you there");
    hear();
    return life_->worker_pid;
  }

  int wait_keeper() {
    int status = -1;
    EXPECT_EQ(waitpid(keeper_, &status, 0), keeper_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1'000 + WTERMSIG(status);
  }

  // Waits for a standby, another one than this.
  pid_t standby_but(pid_t other = 0) {
    const int64_t end_ms = monotonic_ms() + kKeeperPatienceMs;
    pid_t found = life_->standby_pid;
    for (; (found == 0 || found == other) && monotonic_ms() < end_ms; found = life_->standby_pid)
      poll(nullptr, 0, 1);
    EXPECT_NE(found, 0);
    EXPECT_NE(found, other);
    return found;
  }

  // Until the standby has become the keeper.
  void kill_keeper() {
    const pid_t dead = life_->keeper_pid;
    const int64_t end_ms = monotonic_ms() + kKeeperPatienceMs;
    standby_but();
    kill(dead, SIGKILL);
    for (uint32_t word = life_->keeper_word;
         (ipc::owner_died(word) || life_->keeper_pid == dead) && monotonic_ms() < end_ms;
         word = life_->keeper_word) {
      ipc::wait_word(life_->keeper_word, word, 1);
    }
    EXPECT_NE(life_->keeper_pid, dead);
    EXPECT_EQ(waitpid(dead, nullptr, 0), dead);
    keeper_ = life_->keeper_pid;
  }

  ipc::Life* life_ = nullptr;
  metrics::Page* page_ = nullptr;
  int listen_[2] = {-1, -1};
  UniqueFd bus_;
  pid_t keeper_ = 0;
};

TEST_F(KeeperTest, EndsWithTheStatusOfAWorkerThatLeaves) {
  start();
  EXPECT_NE(serve(), keeper_);
  tell("leave");
  EXPECT_EQ(wait_keeper(), 42);
  EXPECT_EQ(hear(), "end") << "no process holds the descriptors any more";
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "nobody was left to us";
}

TEST_F(KeeperTest, AKilledWorkerHasASuccessorWithWhatItHeld) {
  start();
  pid_t worker = serve();
  for (int i = 0; i < 10; ++i) {
    kill(worker, SIGKILL);
    expect_successor_of(worker, ipc::kDeathKilled);
    worker = serving_worker();
  }
  tell("exit");
  expect_successor_of(worker, ipc::kDeathKilled);
  EXPECT_EQ(waitpid(keeper_, nullptr, WNOHANG), 0);
}

TEST_F(KeeperTest, ACrashIsTakenForAKillWhenNobodyTellsOtherwise) {
  start();
  const pid_t worker = serve();
  tell("abort");
  expect_successor_of(worker, ipc::kDeathKilled);
}

TEST_F(KeeperTest, ACrashedWorkerWaitsUntilItsSuccessorHasStarted) {
  start();
  const pid_t worker = serve();
  tell("crash, as a life line tells it");
  expect_successor_of(worker, SIGSEGV);
  const int64_t end_ms = monotonic_ms() + kKeeperPatienceMs;
  while (getpgid(worker) >= 0 && monotonic_ms() < end_ms)
    ipc::wait_word(life_->worker_word, life_->worker_word, 10);
  EXPECT_LT(getpgid(worker), 0) << "released, dead and buried";
  EXPECT_EQ(life_->death, ipc::kDeathKilled);
  const pid_t successor = serving_worker();
  kill(successor, SIGKILL);
  expect_successor_of(successor, ipc::kDeathKilled);
}

TEST_F(KeeperTest, AStuckWorkerIsEndedButNotOneThatIsStopped) {
  start("", "worker_watchdog 1s;");
  const pid_t worker = serve();
  kill(worker, SIGSTOP);
  pollfd fd{bus_.get(), POLLIN, 0};
  EXPECT_EQ(poll(&fd, 1, 1'800), 0) << "a successor while the worker is stopped";
  kill(worker, SIGCONT);
  EXPECT_EQ(serving_worker(), worker);
  tell("stick");
  EXPECT_EQ(hear(), "sticking");
  expect_successor_of(worker, ipc::kDeathWatchdog);
}

TEST_F(KeeperTest, TheStandbyTakesOver) {
  start();
  pid_t worker = serve();
  for (int i = 0; i < 3; ++i) {
    kill_keeper();
    EXPECT_EQ(serving_worker(), worker) << "it has not noticed";
    kill(worker, SIGKILL);
    expect_successor_of(worker, ipc::kDeathKilled);
    EXPECT_EQ(life_->keeper_pid, keeper_);
    worker = serving_worker();
  }
  tell("leave");
  EXPECT_EQ(wait_keeper(), 42);
  EXPECT_EQ(hear(), "end");
}

TEST_F(KeeperTest, AWorkerThatIsNobodysChildLeavesAllTheSame) {
  start();
  const pid_t worker = serve();
  kill_keeper();
  tell("leave");
  EXPECT_EQ(wait_keeper(), 42);
  int status = 0;
  EXPECT_EQ(waitpid(worker, &status, 0), worker);
  EXPECT_EQ(WEXITSTATUS(status), 42);
  EXPECT_EQ(hear(), "end");
}

TEST_F(KeeperTest, ADeadStandbyIsReplaced) {
  start();
  const pid_t worker = serve();
  const pid_t first = standby_but();
  kill(first, SIGKILL);
  standby_but(first);
  kill_keeper();
  kill(worker, SIGKILL);
  expect_successor_of(worker, ipc::kDeathKilled);
}

TEST_F(KeeperTest, KeeperAndWorkerAtOnce) {
  start();
  const pid_t worker = serve();
  standby_but();
  kill(keeper_, SIGKILL);
  kill(worker, SIGKILL);
  expect_successor_of(worker, ipc::kDeathKilled);
}

TEST_F(KeeperTest, WhoIsToldToLeaveAndKilledHasNoSuccessor) {
  start();
  const pid_t worker = serve();
  life_->leaving = true;
  kill(worker, SIGKILL);
  EXPECT_EQ(wait_keeper(), 128 + SIGKILL);
  EXPECT_EQ(hear(), "end");
}

TEST_F(KeeperTest, AFirstWorkerThatDoesNotComeSoFarIsNotRepeated) {
  start("/never");
  EXPECT_EQ(field(hear(), "death"), "none");
  EXPECT_EQ(wait_keeper(), 3);
  EXPECT_EQ(hear(), "end");
}

TEST_F(KeeperTest, WhatKillsItsSuccessorsIsLeftBehind) {
  start("/unserved");
  const pid_t worker = serve();
  kill(worker, SIGKILL);
  const std::string said = hear();
  EXPECT_EQ(field(said, "death"), "none") << said;
  EXPECT_EQ(field(said, "listens"), "1");
  EXPECT_NE(serving_worker(), worker);
}

TEST_F(KeeperTest, ASuccessorHasTheConfigurationInForce) {
  start("/old");
  const pid_t worker = serve();
  tell("new configuration");
  EXPECT_EQ(hear(), "/old");
  kill(worker, SIGKILL);
  EXPECT_EQ(field(hear(), "generation"), "17");
  tell("which");
  EXPECT_EQ(hear(), "/new");
  kill(life_->worker_pid, SIGKILL);
  EXPECT_EQ(field(hear(), "generation"), "17");
  tell("which");
  EXPECT_EQ(hear(), "/new") << "handed on again";
}

TEST_F(KeeperTest, SignalsAreTheMastersMatter) {
  start();
  const pid_t worker = serve();
  for (const int number : {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2}) {
    kill(life_->keeper_pid, number);
    kill(standby_but(), number);
  }
  kill(worker, SIGKILL);
  expect_successor_of(worker, ipc::kDeathKilled);
  EXPECT_EQ(life_->keeper_pid, keeper_);
}

TEST_F(KeeperTest, EndsWhenItsMasterIsGoneAndTheWorkerLeaves) {
  start();
  serve();
  bus_.reset();
  EXPECT_EQ(wait_keeper(), 7);
}

}  // namespace
}  // namespace beamgate::master
