// Signals: the master's signals as a descriptor to read.
//
// Owner      Master.  From construction on the signals are blocked and wait in the descriptor; a forked child
//            calls reset_for_child() before it does anything else.
// Thread     The master's only thread.
#pragma once

#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace beamgate::master {

class Signals {
 public:
  Signals();
  ~Signals();  // Gives the process its old mask back.
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  int descriptor() const { return descriptor_.get(); }
  std::vector<int> take();  // What has come since the last call.

  // After an exec with everything blocked.
  void unblock_others();

  // The mask is emptied and dispositions are the default ones, but what is sent to the whole process group
  // and means the master (HUP, INT, QUIT, USR1, USR2) and PIPE is ignored: a worker is told over the bus.
  static void reset_for_child();

 private:
  UniqueFd descriptor_;
};

}  // namespace beamgate::master
