#include "master/daemon.h"

#include <fcntl.h>
#include <unistd.h>

namespace beamgate::master {
namespace {

// The process that was started; its child is the daemon.
[[noreturn]] void wait_for_daemon(int from_daemon) {
  char byte = 0;
  ssize_t count;
  do {
    count = read(from_daemon, &byte, 1);
  } while (count < 0 && errno == EINTR);
  _exit(count == 1 ? 0 : 1);
}

}  // namespace

Result<void> Daemon::detach() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return system_error("can't make a pipe");
  UniqueFd from_daemon(ends[0]), starter(ends[1]);
  const pid_t child = fork();
  if (child < 0) return system_error("can't fork the daemon");
  if (child > 0) {
    starter.reset();
    wait_for_daemon(from_daemon.get());
  }
  setsid();
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) return system_error("can't open /dev/null");
  dup2(null.get(), 0);
  dup2(null.get(), 1);
  starter_ = std::move(starter);
  return {};
}

void Daemon::ready(int log) {
  if (!starter_.valid()) return;
  const ssize_t written = write(starter_.get(), "r", 1);
  static_cast<void>(written);  // The starter may have been killed; we serve all the same.
  starter_.reset();
  UniqueFd null;
  if (log == 2) {
    null.reset(open("/dev/null", O_WRONLY | O_CLOEXEC));
    log = null.get();
  }
  dup2(log, 2);
}

}  // namespace beamgate::master
