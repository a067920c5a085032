// The keeper of a master that is killed, and who comes to take its place.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "common/ipc/channel.h"
#include "master/handover_state.h"
#include "master/keeper/master_keeper.h"
#include "master/worker_state.h"

namespace beamgate::master {
namespace {

ino_t inode_of(int descriptor) {
  struct stat status {};
  EXPECT_EQ(fstat(descriptor, &status), 0);
  return status.st_ino;
}

struct EstateTest : testing::Test {
  EstateTest() {
    char name[] = "/tmp/beamgate-estate-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = estate_path(directory_ + "/pid");
    auto ends = std::move(ipc::Channel::make_pair()).value();
    bus_ = std::move(ends.first);
    worker_ = std::move(ends.second);
    pages_.reset(memfd_create("pages", MFD_CLOEXEC));
    lives_.reset(memfd_create("lives", MFD_CLOEXEC));
  }
  ~EstateTest() override {
    kill_master();
    std::filesystem::remove_all(directory_);
  }

  std::string will() const {
    HandoverState state;
    state.process = {.next_worker = 1, .columns = 1, .pages = pages_.get(), .lives = lives_.get(), .config = "x"};
    state.slots.push_back({.slot = 0, .worker = 1, .pid = getpid(), .state = static_cast<uint8_t>(WorkerState::Ready),
                           .bus = bus_.get()});
    return serialise(state);
  }

  // A process that has what we have, and a keeper.
  void start_master() {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    master_ = fork();
    if (master_ == 0) {
      worker_.reset();
      auto keeper = MasterKeeper::start(path_, will(), nullptr);
      if (!keeper.ok() || !keeper.value()->publish().ok()) _exit(1);
      static_cast<void>(!write(ready[1], "", 1));
      for (;;) pause();
    }
    char byte;
    close(ready[1]);
    ASSERT_EQ(::read(ready[0], &byte, 1), 1) << "it has no keeper";
    close(ready[0]);
    bus_.reset();
  }

  void kill_master() {
    if (master_ <= 0) return;
    kill(master_, SIGKILL);
    waitpid(master_, nullptr, 0);
    master_ = 0;
  }

  bool bus_is_open() const {
    char byte;
    return recv(worker_.get(), &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }
  void let_reads_wait() const { ASSERT_EQ(fcntl(worker_.get(), F_SETFL, 0), 0); }
  void wait_until_the_bus_closes() const {
    let_reads_wait();
    char byte;
    const timeval patience{30, 0};
    ASSERT_EQ(setsockopt(worker_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    EXPECT_EQ(recv(worker_.get(), &byte, 1, 0), 0);
  }

  std::string directory_, path_;
  UniqueFd bus_, worker_, pages_, lives_;
  pid_t master_ = 0;
};

TEST_F(EstateTest, NobodyIsThere) {
  EXPECT_FALSE(claim_estate(path_).value().has_value());
  ASSERT_TRUE(EstateSocket::listen(path_).value().publish().ok());  // And has gone again.
  EXPECT_FALSE(claim_estate(path_).value().has_value());
  EXPECT_FALSE(claim_estate(std::string(200, 'x')).value().has_value()) << "no socket can be there";
}

TEST_F(EstateTest, AMasterThatLivesGivesNothing) {
  start_master();
  const auto claimed = claim_estate(path_);
  ASSERT_FALSE(claimed.ok());
  EXPECT_EQ(claimed.error().code, Code::Denied);
  EXPECT_TRUE(bus_is_open());
}

TEST_F(EstateTest, TheNextOneIsGivenWhatTheDeadOneHad) {
  start_master();
  kill_master();
  EXPECT_TRUE(bus_is_open());
  auto claimed = claim_estate(path_);
  ASSERT_TRUE(claimed.ok()) << claimed.error().message();
  ASSERT_TRUE(claimed.value().has_value());
  Estate estate = std::move(*claimed.value());
  const auto state = parse_handover_state(estate.state);
  ASSERT_TRUE(state.ok());
  ASSERT_EQ(estate.descriptors.size(), state.value().descriptors().size());
  EXPECT_EQ(inode_of(estate.descriptors[0].get()), inode_of(pages_.get()));
  EXPECT_EQ(inode_of(estate.descriptors[1].get()), inode_of(lives_.get()));
  estate.accept();
  const char byte = 'x';
  EXPECT_EQ(send(estate.descriptors[2].get(), &byte, 1, MSG_NOSIGNAL), 1);
  let_reads_wait();
  char got = 0;
  EXPECT_EQ(recv(worker_.get(), &got, 1, 0), 1);
  EXPECT_EQ(got, byte);
  estate.descriptors.clear();
  wait_until_the_bus_closes();  // The keeper has gone too.
}

TEST_F(EstateTest, OneThatDiesOverItLosesNothing) {
  start_master();
  kill_master();
  {
    const auto first = claim_estate(path_);
    ASSERT_TRUE(first.ok() && first.value().has_value());
  }
  EXPECT_TRUE(bus_is_open());
  const auto second = claim_estate(path_);
  EXPECT_TRUE(second.ok() && second.value().has_value());
}

TEST_F(EstateTest, WithoutWorkersItEnds) {
  start_master();
  kill_master();
  worker_.reset();
  // It has nothing to do any more: nobody answers, sooner or later.
  const auto answers = [this] {
    const auto claimed = claim_estate(path_);
    return claimed.ok() && claimed.value().has_value();
  };
  while (answers()) continue;
  EXPECT_FALSE(answers());
}

TEST_F(EstateTest, AWillThatCannotBeReadIsNotTaken) {
  EXPECT_FALSE(MasterKeeper::start(path_, "nonsense", nullptr).ok());
}

}  // namespace
}  // namespace beamgate::master
