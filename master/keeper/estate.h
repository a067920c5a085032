// Estate: what a killed master held, on its way from its keeper to a new master.
//
// Transport  A SOCK_SEQPACKET socket at a path beside the pid file, frames as on the bus (common/ipc/messages.h).
//            The new master says that it has it all by closing with a byte; without that the keeper keeps everything.
// Rights     The socket's file is for its owner alone, and only the same user or root is answered.
// Errors     Each step says what failed; nothing is lost by it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace beamgate::master {

// Where a new master finds the keeper of the one before.
std::string estate_path(const std::string& pid_path);

// The keeper's side.
//
// Listens at a path of its own until publish() puts it in the place of whatever is there.
class EstateSocket {
 public:
  static Result<EstateSocket> listen(const std::string& path);
  Result<void> publish();
  int descriptor() const { return socket_.get(); }
  void remove();  // The file, when it is published.

 private:
  UniqueFd socket_;
  std::string path_;
  std::string unpublished_;
};

// A new master that has connected; invalid when it may not, or has gone again.
UniqueFd accept_claim(int listening);
// Sends the state's file and what it names.  True: the claimant has taken it.
bool hand_over(const UniqueFd& claimant, int state_file);

// The new master's side.
struct Estate {
  std::string state;                  // HandoverState, its descriptors not yet renumbered.
  std::vector<UniqueFd> descriptors;  // In the state's order.
  UniqueFd keeper;

  void accept();  // The keeper is not needed any more.
};

// Nothing: nobody holds anything there.  Denied: a living master, or another user's.
Result<std::optional<Estate>> claim_estate(const std::string& path);

}  // namespace beamgate::master
