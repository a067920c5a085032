// Daemon: puts the master into the background, and tells the shell only once it serves.
//
// The process that the shell waits for stays until the daemon says ready(); then it exits 0.  When the daemon
// ends before, it exits 1; what went wrong stands on stderr, which both share.
// Owner      Master.
#pragma once

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace beamgate::master {

class Daemon {
 public:
  // Forks; returns in the background process only.
  Result<void> detach();

  // Serving now.  stderr goes to `log`, or to /dev/null when that is stderr itself.
  void ready(int log);

 private:
  UniqueFd starter_;  // Written when ready; valid only between detach() and ready().
};

}  // namespace beamgate::master
