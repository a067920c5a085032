// The libuv wrappers: callbacks come, destruction inside a callback is safe, and a loop closes with nothing
// alive (its destructor asserts that, so every test here shows it).
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <csignal>
#include <memory>

#include "common/base/unique_fd.h"
#include "common/uv/loop.h"
#include "common/uv/poll_watcher.h"
#include "common/uv/signal_watcher.h"
#include "common/uv/timer.h"
#include "common/uv/turn.h"

namespace beamgate::uv {
namespace {

TEST(Timer, FiresOnceAndKeepsOrder) {
  Loop loop;
  std::string order;
  Timer late(loop, [&] { order += 'b'; });
  Timer early(loop, [&] { order += 'a'; });
  late.start(5);
  early.start(1);
  loop.run();
  EXPECT_EQ(order, "ab");
  EXPECT_FALSE(early.active());
}

TEST(Timer, RepeatsUntilStoppedInItsCallback) {
  Loop loop;
  int calls = 0;
  Timer* self = nullptr;
  Timer timer(loop, [&] {
    if (++calls == 3) self->stop();
  });
  self = &timer;
  timer.start_repeating(1);
  loop.run();
  EXPECT_EQ(calls, 3);
}

TEST(Timer, MayDestroyItselfInItsCallback) {
  Loop loop;
  std::unique_ptr<Timer> timer;
  const auto alive = std::make_shared<int>(7);
  int seen = 0;
  timer = std::make_unique<Timer>(loop, [&, alive] {
    timer.reset();
    seen = *alive;  // The callback's captures outlive the owner.
  });
  timer->start(0);
  loop.run();
  EXPECT_EQ(seen, 7);
}

TEST(Timer, DestroyedWhileRunningNeverFires) {
  Loop loop;
  int calls = 0;
  { Timer timer(loop, [&] { ++calls; }); timer.start(0); }
  loop.run();
  EXPECT_EQ(calls, 0);
}

TEST(PollWatcher, TellsReadableAndWritable) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd near(ends[0]), far(ends[1]);
  Loop loop;
  std::unique_ptr<PollWatcher> watcher;
  bool written = false, read = false;
  auto opened = PollWatcher::open(loop, near.get(), [&](PollWatcher::Ready ready) {
    if (ready.writable && !written) {
      written = true;
      watcher->watch(true, false);
      ASSERT_EQ(write(far.get(), "x", 1), 1);
    } else if (ready.readable) {
      read = true;
      watcher.reset();
    }
  });
  ASSERT_TRUE(opened.ok());
  watcher = std::move(opened).value();
  watcher->watch(false, true);
  loop.run();
  EXPECT_TRUE(written && read);
}

TEST(PollWatcher, RefusesWhatCannotBeWatched) {
  Loop loop;
  FILE* file = tmpfile();
  ASSERT_NE(file, nullptr);
  const auto opened = PollWatcher::open(loop, fileno(file), [](PollWatcher::Ready) {});
  EXPECT_FALSE(opened.ok());
  fclose(file);
}

TEST(SignalWatcher, ReportsItsSignal) {
  Loop loop;
  std::unique_ptr<SignalWatcher> watcher;
  bool seen = false;
  watcher = std::make_unique<SignalWatcher>(loop, SIGUSR1, [&] {
    seen = true;
    watcher.reset();
  });
  raise(SIGUSR1);
  loop.run();
  EXPECT_TRUE(seen);
}

TEST(Turn, StagesRunInTheirOrder) {
  Loop loop;
  std::string order;
  Idle idle(loop, [&] { order += 'i'; });
  BeforePoll before(loop, [&] { order += 'b'; });
  AfterPoll after(loop, [&] {
    order += 'a';
    loop.stop();
  });
  idle.start();
  before.start();
  after.start();
  loop.run();
  EXPECT_EQ(order, "iba");
}

}  // namespace
}  // namespace beamgate::uv
