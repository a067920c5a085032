// What a keeper and its worker tell each other by: the robust word, the sweep, and the log's constant number.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "common/base/unique_fd.h"
#include "common/ipc/life.h"
#include "common/ipc/robust_word.h"
#include "common/ipc/sweep.h"
#include "common/log/log.h"

namespace beamgate::ipc {
namespace {

class RobustWordTest : public testing::Test {
 protected:
  RobustWordTest() {
    void* page = mmap(nullptr, sizeof(Life), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    life_ = new (page) Life();
  }
  ~RobustWordTest() override { munmap(life_, sizeof(Life)); }

  Life* life_;
};

TEST_F(RobustWordTest, TellsOfItsOwnersDeathHoweverItEnds) {
  for (const bool killed : {true, false}) {
    life_->worker_word = 0;
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      own(life_->worker_word);
      wake_word(life_->worker_word);
      if (!killed) _exit(0);
      for (;;) pause();
    }
    while (life_->worker_word == 0) wait_word(life_->worker_word, 0, 1'000);
    if (killed) {
      EXPECT_FALSE(owner_died(life_->worker_word));
      kill(child, SIGKILL);
    }
    for (uint32_t word = life_->worker_word; !owner_died(word); word = life_->worker_word) {
      wait_word(life_->worker_word, word, 20'000);
    }
    waitpid(child, nullptr, 0);
  }
}

TEST_F(RobustWordTest, WhoHasAnnouncedItsDeathDoesNotTouchItsSuccessorsWord) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    own(life_->worker_word);
    announce_death(life_->worker_word);
    while (life_->released == 0) wait_word(life_->released, 0, 1'000);
    _exit(0);
  }
  while (!owner_died(life_->worker_word)) wait_word(life_->worker_word, life_->worker_word, 1);
  life_->worker_word = 4'711;
  life_->released = 1;
  wake_word(life_->released);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(life_->worker_word, 4'711u);
}

TEST(Sweep, ClosesAllButWhatIsKept) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::vector<int> numbers;
    for (int i = 0; i < 20; ++i) numbers.push_back(fcntl(2, F_DUPFD, 50));
    const std::vector<int> keep = {numbers[7], -1, numbers[3], numbers[3], numbers[19]};
    sweep_descriptors(keep);
    for (int fd = 3; fd < 200; ++fd) {
      const bool kept = fd == numbers[3] || fd == numbers[7] || fd == numbers[19];
      if ((fcntl(fd, F_GETFD) >= 0) != kept) _exit(fd + 1);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(Log, KeepsItsNumberWhenItIsOpenedAgain) {
  char directory[] = "/tmp/beamgate-test-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/log";
  log::Log log("test");
  ASSERT_TRUE(log.open(path, log::Level::Notice).ok());
  const int number = log.descriptor();
  ASSERT_EQ(rename(path.c_str(), (path + ".old").c_str()), 0);
  ASSERT_TRUE(log.reopen().ok());
  EXPECT_EQ(log.descriptor(), number);
  log.notice("after");
  std::ifstream fresh(path);
  const std::string text(std::istreambuf_iterator<char>(fresh), {});
  EXPECT_NE(text.find("after"), text.npos);
  EXPECT_EQ(fcntl(number, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  unlink(path.c_str());
  unlink((path + ".old").c_str());
  rmdir(directory);
}

}  // namespace
}  // namespace beamgate::ipc
