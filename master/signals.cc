#include "master/signals.h"

#include <sys/signalfd.h>

#include <csignal>

#include "common/base/assert.h"

namespace beamgate::master {
namespace {

constexpr int kWatched[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
constexpr int kIgnoredByChildren[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE};

sigset_t watched_set() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kWatched) sigaddset(&set, signal);
  return set;
}

}  // namespace

Signals::Signals() {
  const sigset_t set = watched_set();
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  // An ignored SIGCHLD, as some parents leave it, would let the kernel reap workers behind our back.
  signal(SIGCHLD, SIG_DFL);
  descriptor_.reset(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  BG_ASSERT(descriptor_.valid());
}

Signals::~Signals() {
  const sigset_t set = watched_set();
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

void Signals::unblock_others() {
  const sigset_t set = watched_set();
  sigprocmask(SIG_SETMASK, &set, nullptr);
}

std::vector<int> Signals::take() {
  std::vector<int> out;
  signalfd_siginfo info;
  while (read(descriptor_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    out.push_back(static_cast<int>(info.ssi_signo));
  }
  return out;
}

void Signals::reset_for_child() {
  for (const int number : kWatched) signal(number, SIG_DFL);
  for (const int number : kIgnoredByChildren) signal(number, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace beamgate::master
