// What surrounds the master's work: its loop, pid file, identity, title and the agreement on a reload.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "master/event_loop.h"
#include "master/pid_file.h"
#include "master/privileges.h"
#include "master/reload.h"
#include "master/signals.h"

namespace beamgate::master {
namespace {

using testing::ElementsAre;

TEST(EventLoop, TimersFireInOrderAndCancelledOnesDont) {
  EventLoop loop;
  std::string order;
  loop.after(2, [&] { order += 'b'; });
  loop.after(0, [&] { order += 'a'; });
  const auto cancelled = loop.after(1, [&] { order += 'x'; });
  loop.after(3, [&] { loop.stop(); });
  loop.cancel(cancelled);
  loop.cancel(cancelled);
  loop.run();
  EXPECT_EQ(order, "ab");
  EXPECT_EQ(loop.alive(), 0u);
}

TEST(EventLoop, AWatchMayRemoveItselfAndOthers) {
  EventLoop loop;
  int ends[2][2];
  ASSERT_EQ(pipe2(ends[0], O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(ends[1], O_CLOEXEC), 0);
  EventLoop::WatchId ids[2] = {};
  int calls = 0;
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(write(ends[i][1], "x", 1), 1);
    ids[i] = loop.watch(ends[i][0], [&](EventLoop::Ready ready) {
      EXPECT_TRUE(ready.readable);
      ++calls;
      for (const auto id : ids) loop.unwatch(id);
    }).value();
  }
  loop.run_turn(1'000);
  EXPECT_EQ(calls, 1) << "the other was ready too, but is no watch any more";
  EXPECT_EQ(loop.alive(), 0u);
  for (auto& pair : ends) close(pair[0]), close(pair[1]);
}

TEST(EventLoop, RefusesWhatCannotBeWatched) {
  EventLoop loop;
  EXPECT_FALSE(loop.watch(-1, [](EventLoop::Ready) {}).ok());
}

TEST(Signals, AreReadFromTheDescriptor) {
  Signals signals;
  EXPECT_TRUE(signals.take().empty());
  raise(SIGHUP);
  raise(SIGUSR1);
  EXPECT_THAT(signals.take(), testing::UnorderedElementsAre(SIGHUP, SIGUSR1));
}

class PidFileTest : public testing::Test {
 protected:
  PidFileTest() {
    char name[] = "/tmp/beamgate-test-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/beamgate.pid";
  }
  ~PidFileTest() override {
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }
  void fill(const std::string& text) { std::ofstream(path_) << text; }
  std::string own_name() {
    std::ifstream file("/proc/self/comm");
    std::string name;
    std::getline(file, name);
    return name;
  }

  std::string directory_, path_;
};

TEST_F(PidFileTest, HoldsOurNumberWhileItLives) {
  {
    const auto file = PidFile::create(path_, own_name());
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(PidFile::read(path_).value(), getpid());
    EXPECT_EQ(PidFile::read_living(path_, own_name()).value(), getpid());
  }
  EXPECT_EQ(PidFile::read(path_).error().code, Code::NotFound);
}

TEST_F(PidFileTest, IsRefusedWhileALivingProcessHoldsIt) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    pause();
    _exit(0);
  }
  fill(std::to_string(child) + "\n");
  const auto file = PidFile::create(path_, own_name());
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, Code::Denied);
  EXPECT_TRUE(PidFile::create(path_, "another-program").ok()) << "the number belongs to somebody else now";
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

// As a killed master stays in a container whose first process waits for nobody.
TEST_F(PidFileTest, AZombieHoldsNothing) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(0);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  ASSERT_TRUE(std::ifstream("/proc/" + std::to_string(child) + "/comm").good()) << "it still has its name";
  fill(std::to_string(child) + "\n");
  EXPECT_EQ(PidFile::read_living(path_, own_name()).error().code, Code::NotFound);
  EXPECT_TRUE(PidFile::create(path_, own_name()).ok());
  waitpid(child, nullptr, 0);
}

TEST_F(PidFileTest, ReplacesAStaleOrBrokenFile) {
  for (const char* text : {"", "x\n", "-1\n", "0\n", "99999999999\n", "4194304\n"}) {
    fill(text);
    EXPECT_FALSE(PidFile::read_living(path_, own_name()).ok()) << text;
    EXPECT_TRUE(PidFile::create(path_, own_name()).ok()) << text;
  }
}

TEST_F(PidFileTest, SomebodyElsesFileStays) {
  {
    const auto file = PidFile::create(path_, own_name());
    ASSERT_TRUE(file.ok());
    fill("1\n");
  }
  EXPECT_EQ(PidFile::read(path_).value(), 1);
}

TEST_F(PidFileTest, NeedsItsDirectory) {
  EXPECT_FALSE(PidFile::create(directory_ + "/none/beamgate.pid", own_name()).ok());
}

TEST(Privileges, AnEmptyUserChangesNothing) {
  const auto identity = find_identity("", "");
  ASSERT_TRUE(identity.ok());
  EXPECT_FALSE(identity.value().change);
}

TEST(Privileges, NamesAreLookedUp) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can change its identity";
  const auto daemon = find_identity("daemon", "");
  ASSERT_TRUE(daemon.ok());
  EXPECT_TRUE(daemon.value().change);
  EXPECT_NE(daemon.value().uid, 0u);
  EXPECT_EQ(find_identity("daemon", "root").value().gid, 0u);
  EXPECT_EQ(find_identity("no-such-user-here", "").error().code, Code::NotFound);
  EXPECT_EQ(find_identity("daemon", "no-such-group-here").error().code, Code::NotFound);
}

TEST(Privileges, OnceDroppedTheyAreGone) {
  if (geteuid() != 0) GTEST_SKIP() << "only root has something to drop";
  const Identity identity = find_identity("daemon", "").value();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (!drop_privileges(identity).ok()) _exit(1);
    if (getuid() != identity.uid || geteuid() != identity.uid || getgid() != identity.gid) _exit(2);
    if (setuid(0) == 0 || setgid(0) == 0) _exit(3);
    if (open("/etc/shadow", O_RDONLY) >= 0) _exit(4);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

struct ReloadLog : Reload::Actions {
  void send_prepare(uint16_t slot) override { text += "prepare" + std::to_string(slot) + ' '; }
  void commit_reload(const SlotSet& members) override { text += "commit" + std::to_string(members.size()) + ' '; }
  void abort_reload(const SlotSet& members, const std::string& reason) override {
    text += "abort" + std::to_string(members.size()) + '(' + reason + ") ";
  }
  std::string text;
};

class ReloadTest : public testing::Test {
 protected:
  void begin(std::initializer_list<uint16_t> slots) {
    SlotSet set;
    for (const uint16_t slot : slots) set.add(slot);
    reload_.begin(7, set);
  }
  void answer(uint16_t slot, bool accepted = true, const char* reason = "", uint32_t generation = 7) {
    reload_.on_prepared(slot, {generation, accepted, reason});
  }
  std::string result() {
    loop_.run_turn(0);
    loop_.run_turn(0);
    return std::exchange(actions_.text, {});
  }

  EventLoop loop_;
  ReloadLog actions_;
  Reload reload_{loop_, actions_};
};

TEST_F(ReloadTest, CommitsWhenAllHaveAccepted) {
  begin({0, 1});
  answer(0);
  EXPECT_EQ(result(), "prepare0 prepare1 ");
  answer(0);
  answer(1, true, "", 6);  // Another generation's.
  answer(5);               // Not asked.
  EXPECT_EQ(result(), "");
  EXPECT_TRUE(reload_.running());
  answer(1);
  EXPECT_EQ(result(), "commit2 ");
  EXPECT_FALSE(reload_.running());
  EXPECT_EQ(loop_.alive(), 0u);
}

TEST_F(ReloadTest, OneRefusalAbortsEverywhere) {
  begin({0, 1, 2});
  answer(1, false, "no");
  EXPECT_EQ(result(), "prepare0 prepare1 prepare2 abort3(no) ");
  answer(0);
  EXPECT_EQ(result(), "");
  begin({0});
  answer(0, false);
  EXPECT_EQ(result(), "prepare0 abort1(refused by a worker) ");
}

TEST_F(ReloadTest, ADeathBeforeTheAnswerAborts) {
  begin({0, 1});
  answer(0);
  reload_.on_dead(1);
  EXPECT_EQ(result(), "prepare0 prepare1 abort1(a worker died while it prepared) ");
}

TEST_F(ReloadTest, ADeathAfterTheAnswerDoesNotHinderAndItsReplacementJoins) {
  begin({0, 1});
  answer(0);
  reload_.on_dead(0);
  reload_.add(0);
  answer(1);
  EXPECT_EQ(result(), "prepare0 prepare1 prepare0 ");
  answer(0);
  EXPECT_EQ(result(), "commit2 ");
}

TEST_F(ReloadTest, WithoutWorkersItCommitsAtOnce) {
  begin({});
  EXPECT_EQ(result(), "commit0 ");
}

TEST_F(ReloadTest, GivingUpAborts) {
  reload_.give_up("nothing runs");
  begin({0});
  reload_.give_up("stopping");
  EXPECT_EQ(result(), "prepare0 abort1(stopping) ");
  reload_.add(1);
  reload_.on_dead(1);
  EXPECT_EQ(result(), "");
}

}  // namespace
}  // namespace beamgate::master
