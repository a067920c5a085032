// Master keeper: the small process that holds what the workers need of their master, should that be killed.
//
//   master -- clone, same descriptors --> its keeper
//
// It has every descriptor that the master has - the workers' buses, the listening sockets, the shared pages - so a
// master's death closes none of them: workers serve on, and what they say to each other waits in their queues.  A new
// master asks at a socket (estate.h), is given everything, and the keeper ends.  It ends too when the last worker has.
// Which descriptors are which stands in the will: a HandoverState without the hub, in a memfd that the master renews
// before anything depends on a change.
// Owner      Master, which replaces it when it dies, and kills it before it stops: nobody inherits then.
// Thread     One.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/log/log.h"
#include "master/keeper/estate.h"
#include "master/process_title.h"

namespace beamgate::master {

class MasterKeeper {
 public:
  // Listens, and starts the process.  let_go: called in the process, of what the master holds and it must not keep.
  static Result<std::unique_ptr<MasterKeeper>> start(const std::string& path, std::string will, ProcessTitle* title,
                                                     std::function<void()> let_go = {});
  ~MasterKeeper();
  MasterKeeper(const MasterKeeper&) = delete;
  MasterKeeper& operator=(const MasterKeeper&) = delete;

  Result<void> renew(std::string will);
  // The process that new masters ask is this one now; before, it may still be another's.
  Result<void> publish() { return socket_.publish(); }
  void let_go() { std::string().swap(will_text_); }  // In a child of the master.
  pid_t pid() const { return pid_; }
  Result<void> restart();  // After its death.
  void end();              // Kills it: whatever happens to the master now, nobody goes on.

 private:
  MasterKeeper() = default;
  [[noreturn]] void keep();
  bool master_lives();
  void wait_for_heir(int will);

  // Shared with the process.
  struct Page {
    std::atomic<int32_t> will = -1;
  };

  EstateSocket socket_;
  UniqueFd master_;  // A pidfd.
  UniqueFd will_;
  std::string will_text_;
  Page* page_ = nullptr;
  ProcessTitle* title_ = nullptr;
  std::function<void()> let_go_;
  pid_t pid_ = 0;
};

}  // namespace beamgate::master
